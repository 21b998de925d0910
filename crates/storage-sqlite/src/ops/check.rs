//! Everything a store can be wrong about, found and counted. A part that cannot be read at all is a finding, not an
//! error.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use storage_core::{
    Check, CollectionName, ContentHash, EmbedText, Embedding, Faults, InputHash, IntegrityReport,
    RecordHash, RowFindings, SpaceId, VersionState, check_names as names,
};

use crate::error::{Failure, Outcome};
use crate::rows::{self, DOCUMENT_COLUMNS, Names};
use crate::{schema, sql};
use storage_core::guard::{fits, guard, place_guard};

pub(crate) fn check(conn: &Connection) -> Outcome<IntegrityReport> {
    let mut report = Report::default();
    report.make(names::CONNECTION, || pages(conn))?;
    report.make(names::SCHEMA_VERSION, || schema_version(conn))?;
    let rows = match all_rows(conn) {
        Ok(rows) => rows,
        Err(failure) if failure.is_corrupt() => {
            for name in [
                names::EMBEDDING_VERSION,
                names::TEMPLATES,
                names::CATEGORIES,
                names::CONTENT_HASHES,
            ] {
                report.checks.push(unreadable(name, &failure));
            }
            None
        }
        Err(failure) => return Err(failure),
    };
    if let Some(rows) = rows {
        report.checks.extend(rows.checks());
    }
    report.make(names::VECTOR_HASHES, || vectors(conn))?;
    report.make(names::ORPHANS, || orphans(conn))?;
    report.make(names::FOREIGN_KEYS, || foreign_keys(conn))?;
    report.make(names::GENERATION, || generation(conn))?;
    Ok(IntegrityReport {
        checks: report.checks,
    })
}

/// What can be said of a store of an older schema: whether its pages hold together.
pub(crate) fn structure(conn: &Connection) -> Outcome<IntegrityReport> {
    let mut report = Report::default();
    report.make(names::CONNECTION, || {
        let found = structure_faults(conn)?;
        Ok(Check::compare(
            names::CONNECTION,
            found.join("; "),
            "ok",
            "the file's own structure",
        ))
    })?;
    Ok(IntegrityReport {
        checks: report.checks,
    })
}

#[derive(Default)]
struct Report {
    checks: Vec<Check>,
}

impl Report {
    fn make(&mut self, name: &'static str, check: impl FnOnce() -> Outcome<Check>) -> Outcome<()> {
        match check() {
            Ok(check) => self.checks.push(check),
            Err(failure) if failure.is_corrupt() => self.checks.push(unreadable(name, &failure)),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn unreadable(name: &'static str, failure: &Failure) -> Check {
    Check::compare(
        name,
        "unreadable",
        "readable",
        format!("the store cannot be read: {}", failure.fact()),
    )
}

/// The first faults of the pages and indices, or "ok".
fn structure_faults(conn: &Connection) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    // The full check, not the quick one: it compares every index with its table, and so finds a changed key.
    conn.pragma_query(None, "integrity_check", |row| {
        found.push(row.get::<_, String>(0)?);
        Ok(())
    })?;
    found.truncate(Faults::NAMED);
    Ok(found)
}

fn pages(conn: &Connection) -> Outcome<Check> {
    let found = structure_faults(conn)?;
    // The small tables have no hashes of their own: that they can be read is what can be said of them.
    let status = super::status::status(conn)?;
    for collection in status.collections {
        super::read::sources(conn, &collection.name)?;
        super::ledger::runs(conn, &collection.name, usize::MAX)?;
    }
    let detail = "the file's own structure";
    Ok(Check::compare(
        names::CONNECTION,
        found.join("; "),
        "ok",
        detail,
    ))
}

/// Spaces whose id is not the digest of their model: their vectors would be compared with another model's.
fn misnamed(conn: &Connection) -> Outcome<Faults> {
    let mut faults = Faults::default();
    for space in super::status::status(conn)?.spaces {
        if SpaceId::of(&space.model, &space.nonce) != space.id {
            faults.add(|| format!("space {} is not that of {}", space.id, space.model));
        }
    }
    Ok(faults)
}

fn schema_version(conn: &Connection) -> Outcome<Check> {
    let found: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut check = Check::compare(
        names::SCHEMA_VERSION,
        found,
        schema::latest(),
        "the schema's number",
    );
    // Its words as well: SQLite believes whatever stands there. Objects that somebody added are none of ours.
    let ours = schema::ours()?;
    let stored = schema::objects(conn)?;
    let mut changed = ours
        .iter()
        .filter(|(name, sql)| stored.get(*name) != Some(sql));
    if let Some((name, _)) = changed.next() {
        check.ok = false;
        check.detail = format!("a table or an index is not as it was created: {name}");
    }
    Ok(check)
}

fn all_rows(conn: &Connection) -> Outcome<Option<RowFindings>> {
    let mut found = RowFindings {
        unready: misnamed(conn)?,
        ..RowFindings::default()
    };
    let mut statement = conn.prepare_cached(sql::CHECK_COLLECTIONS)?;
    let mut collections = statement.query(())?;
    while let Some(row) = collections.next()? {
        let id: i64 = row.get(0)?;
        let name = rows::collection_name(row.get(1)?)?;
        let recorded: (u64, u64) = (row.get(3)?, row.get(4)?);
        let active: Option<i64> = row.get(5)?;
        let mut recipe = EmbedText::default();
        let versions = rows::versions(conn, id)?;
        let served = versions
            .iter()
            .find(|version| Some(version.number) == active);
        if active.is_some()
            && served.is_none_or(|served| served.version.state != VersionState::Ready)
        {
            found.unready.add(|| name.to_string());
        }
        for version in &versions {
            let parsed = EmbedText::parse(&version.version.embed_text);
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    found.wrong_hashes.add(|| format!("{name}: {error}"));
                    continue;
                }
            };
            let bound: u64 = conn
                .prepare_cached(sql::CHECK_BOUND)?
                .query_row([version.number], |row| row.get(0))?;
            if bound != version.version.records {
                found.miscounted.add(|| {
                    format!(
                        "{name}: version {} has {bound} rows, recorded {}",
                        version.version.id.short(),
                        version.version.records
                    )
                });
            }
            if Some(version.number) == active {
                recipe = parsed;
            } else {
                inputs_of(conn, id, &name, version.number, &parsed, &mut found)?;
            }
        }
        let (rows, documents) = collection_rows(conn, id, &name, active, &recipe, &mut found)?;
        super::undo::check(conn, id, &name, &mut found.wrong_hashes)?;
        found.found += rows;
        found.recorded += recorded.0;
        if documents != recorded.1 {
            found
                .wrong_hashes
                .add(|| format!("{name}: {documents} documents, recorded {}", recorded.1));
        }
        let (categories, recorded, wrong): (u64, u64, u64) = conn
            .prepare_cached(sql::CHECK_CATEGORIES)?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        found.categories.0 += categories;
        found.categories.1 += recorded;
        if wrong > 0 {
            found.wrong_categories.add(|| name.to_string());
        }
    }
    Ok(Some(found))
}

/// Whether the vectors that rows have in a version that is not served are of the rows' own texts.
fn inputs_of(
    conn: &Connection,
    id: i64,
    name: &CollectionName,
    version: i64,
    recipe: &EmbedText,
    found: &mut RowFindings,
) -> Outcome<()> {
    let names = Names::read(conn, name, id)?;
    let mut statement = conn.prepare_cached(sql::CHECK_INPUTS)?;
    let mut rows = statement.query((id, version))?;
    while let Some(row) = rows.next()? {
        let Ok(document) = names.document(row) else {
            continue;
        };
        let input = rows::input_hash(row, DOCUMENT_COLUMNS);
        if !input.is_ok_and(|input| input == Some(InputHash::of(&recipe.render(&document)))) {
            let key = document.key;
            found
                .wrong_hashes
                .add(|| format!("{name}: {:?} chunk {}", key.document, key.chunk));
        }
    }
    Ok(())
}

/// Hashes every row again; returns how many rows and documents there are.
fn collection_rows(
    conn: &Connection,
    id: i64,
    name: &CollectionName,
    active: Option<i64>,
    recipe: &EmbedText,
    found: &mut RowFindings,
) -> Outcome<(u64, u64)> {
    let names = Names::read(conn, name, id)?;
    let mut statement = conn.prepare_cached(sql::CHECK_ROWS)?;
    let mut rows = statement.query((id, active))?;
    let (mut count, mut documents) = (0, 0);
    let mut last: Option<String> = None;
    while let Some(row) = rows.next()? {
        count += 1;
        let document = match names.document(row) {
            Ok(document) => document,
            Err(failure) if failure.is_corrupt() => {
                found
                    .wrong_hashes
                    .add(|| format!("{name}: {}", failure.fact()));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let place = || {
            format!(
                "{name}: {:?} chunk {}",
                document.key.document, document.key.chunk
            )
        };
        let hash_fits = rows::record_hash(row, DOCUMENT_COLUMNS)
            .is_ok_and(|hash| hash == RecordHash::of(&document));
        let input_fits = match rows::input_hash(row, DOCUMENT_COLUMNS + 1) {
            Ok(Some(input)) => input == InputHash::of(&recipe.render(&document)),
            Ok(None) => {
                found.unserved.add(place);
                true
            }
            Err(_) => false,
        };
        let key = &document.key;
        let number: i64 = row.get(2)?;
        let expected = place_guard(id, &key.document, key.chunk, number, &document.locator);
        let column = DOCUMENT_COLUMNS + 2;
        let stamp = [
            row.get(column + 1)?,
            row.get(column + 2)?,
            row.get(column + 3)?,
        ];
        let place_fits = fits(row.get(column)?, expected, &stamp);
        if !hash_fits || !input_fits || !place_fits {
            found.wrong_hashes.add(place);
        }
        if last.as_deref() != Some(&*document.key.document) {
            documents += 1;
            last = Some(document.key.document);
        }
    }
    Ok((count, documents))
}

fn vectors(conn: &Connection) -> Outcome<Check> {
    let mut faults = Faults::default();
    let mut statement = conn.prepare_cached(sql::CHECK_VECTORS)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let dimensions: Option<u32> = row.get(4)?;
        let stamp = [row.get(5)?, row.get(6)?];
        let sound = match (row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?) {
            (ValueRef::Blob(checksum), ValueRef::Integer(expected), ValueRef::Blob(bytes)) => {
                checksum == ContentHash::of(bytes).as_bytes()
                    && fits(expected, guard(bytes), &stamp)
                    && Embedding::from_le_bytes(bytes)
                        .is_ok_and(|embedding| Some(embedding.dimensions()) == dimensions)
            }
            _ => false,
        };
        if !sound {
            let input = rows::input_hash(row, 0)?;
            faults.add(|| match input {
                Some(input) => format!("vector of input {}", &input.to_hex()[..12]),
                None => "a vector without an input".to_owned(),
            });
        }
    }
    Ok(faults.check(
        names::VECTOR_HASHES,
        "vectors that do not match their checksum or their version",
    ))
}

fn orphans(conn: &Connection) -> Outcome<Check> {
    let count =
        |sql| -> Outcome<u64> { Ok(conn.prepare_cached(sql)?.query_row((), |row| row.get(0))?) };
    Ok(Check::compare(
        names::ORPHANS,
        count(sql::CHECK_ORPHANS)? + count(sql::CHECK_STRAY_ROWS)?,
        0,
        "references that lead nowhere, or to a vector of another version",
    ))
}

fn foreign_keys(conn: &Connection) -> Outcome<Check> {
    let mut faults = Faults::default();
    conn.pragma_query(None, "foreign_key_check", |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        faults.add(|| format!("{table} to {parent}"));
        Ok(())
    })?;
    Ok(faults.check(names::FOREIGN_KEYS, "foreign keys that do not hold"))
}

fn generation(conn: &Connection) -> Outcome<Check> {
    let mut sum = 0u64;
    let mut statement = conn.prepare_cached(sql::CHECK_COLLECTIONS)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        sum = sum.saturating_add(row.get(2)?);
    }
    let mut check = Check::compare(
        names::GENERATION,
        super::status::generation(conn)?.0,
        sum,
        "the store's counter, against the sum of the collections'",
    );
    let named: bool = conn.query_row(sql::CHECK_STORE_ID, (), |row| row.get(0))?;
    if !named {
        check.ok = false;
        check.detail = "the store's identity is not 32 hexadecimal digits".to_owned();
    }
    Ok(check)
}

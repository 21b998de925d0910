//! Everything a store can be wrong about, found and counted. A part that cannot be read at all is a finding, not an
//! error.

use async_trait::async_trait;
use futures_util::pin_mut;
use storage_core::guard::{fits, guard};
use storage_core::{
    Check, ContentHash, Embedding, Faults, InputHash, IntegrityReport, SpaceId,
    check_names as names,
};
use tokio_postgres::Row;

mod collections;

use crate::error::{Failure, Outcome};
use crate::rows::{self, count, get};
use crate::streams::next_row;
use crate::tx::{Tx, Work};
use crate::{schema, sql, wire};

pub(crate) struct CheckStore;

#[async_trait]
impl Work for CheckStore {
    type Output = IntegrityReport;
    const NAME: &'static str = "check";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<IntegrityReport> {
        let mut checks = vec![
            part(tx, names::CONNECTION, connection(tx)).await?,
            part(tx, names::SCHEMA_VERSION, schema_version(tx)).await?,
        ];
        tx.client.batch_execute(SAVED).await?;
        let rows = async { collections::check(tx, misnamed(tx).await?).await };
        match rows.await {
            Ok(rows) => checks.extend(rows.checks()),
            Err(failure) if failure.is_corrupt() => {
                tx.client.batch_execute(TAKEN_BACK).await?;
                for name in [
                    names::EMBEDDING_VERSION,
                    names::TEMPLATES,
                    names::CATEGORIES,
                    names::CONTENT_HASHES,
                ] {
                    checks.push(unreadable(name, &failure));
                }
            }
            Err(failure) => return Err(failure),
        }
        checks.push(part(tx, names::VECTOR_HASHES, vectors(tx)).await?);
        checks.push(part(tx, names::ORPHANS, orphans(tx)).await?);
        checks.push(part(tx, names::FOREIGN_KEYS, foreign_keys(tx)).await?);
        checks.push(part(tx, names::GENERATION, generation(tx)).await?);
        Ok(IntegrityReport { checks })
    }
}

/// A statement that meets a damaged page ends more than itself: the transaction goes on from here.
const SAVED: &str = "SAVEPOINT part";
const TAKEN_BACK: &str = "ROLLBACK TO SAVEPOINT part";

/// A check that may meet something it cannot read.
async fn part(
    tx: &Tx<'_>,
    name: &'static str,
    check: impl Future<Output = Outcome<Check>>,
) -> Outcome<Check> {
    tx.client.batch_execute(SAVED).await?;
    match check.await {
        Ok(check) => Ok(check),
        Err(failure) if failure.is_corrupt() => {
            tx.client.batch_execute(TAKEN_BACK).await?;
            Ok(unreadable(name, &failure))
        }
        Err(failure) => Err(failure),
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

async fn connection(tx: &Tx<'_>) -> Outcome<Check> {
    // The small tables have no hashes of their own: that they can be read is what can be said of them.
    let status = super::status::Status.run(tx).await?;
    for collection in status.collections {
        super::read::Sources(&collection.name).run(tx).await?;
        super::ledger::Runs(&collection.name, usize::MAX)
            .run(tx)
            .await?;
    }
    // An index that a cancelled build left behind is never used, and costs every write.
    let mut faults = Faults::default();
    for row in tx.rows(sql::CHECK_INDICES, &[]).await? {
        let name: String = get(&row, 0)?;
        faults.add(|| name);
    }
    let found = match faults.count {
        0 => "ok".to_owned(),
        _ => format!("indices that are not valid: {}", faults.named()),
    };
    let detail = "the server's answers, and its indices";
    Ok(Check::compare(names::CONNECTION, found, "ok", detail))
}

/// Spaces whose id is not the digest of their model: their vectors would be compared with another model's.
async fn misnamed(tx: &Tx<'_>) -> Outcome<Faults> {
    let mut faults = Faults::default();
    for space in super::status::spaces(tx).await? {
        if SpaceId::of(&space.model, &space.nonce) != space.id {
            faults.add(|| format!("space {} is not that of {}", space.id, space.model));
        }
    }
    Ok(faults)
}

async fn schema_version(tx: &Tx<'_>) -> Outcome<Check> {
    let row = tx.one(sql::CHECK_SCHEMA, &[]).await?;
    let mut check = Check::compare(
        names::SCHEMA_VERSION,
        count(&row, 0)?,
        u64::from(schema::latest()),
        "the schema's number",
    );
    let missing: Option<String> = get(&row, 1)?;
    if let Some(missing) = missing {
        check.ok = false;
        check.detail = format!("tables that are not there: {missing}");
    }
    Ok(check)
}

async fn vectors(tx: &Tx<'_>) -> Outcome<Check> {
    let mut faults = Faults::default();
    let stream = tx.stream(sql::CHECK_VECTORS, &[]).await?;
    pin_mut!(stream);
    while let Some(row) = next_row(tx.patience, &mut stream).await? {
        if !is_sound(&row)? {
            let input: Option<InputHash> = rows::input_hash(&row, 0)?;
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

fn is_sound(row: &Row) -> Outcome<bool> {
    let checksum: Option<&[u8]> = get(row, 1)?;
    let expected: Option<i64> = get(row, 2)?;
    let dimensions: Option<i32> = get(row, 4)?;
    let stamp: [i64; 2] = [get(row, 5)?, get(row, 6)?];
    let Some(bytes) = wire::little_endian(get(row, 3)?) else {
        return Ok(false);
    };
    let fits_its_space = Embedding::from_le_bytes(&bytes).is_ok_and(|embedding| {
        dimensions.is_some_and(|wanted| i64::from(wanted) == i64::from(embedding.dimensions()))
    });
    // One that was written by SQL has no checksums until it is adopted.
    let unchanged = checksum.is_none_or(|checksum| checksum == ContentHash::of(&bytes).as_bytes())
        && expected.is_none_or(|expected| fits(expected, guard(&bytes), &stamp));
    Ok(fits_its_space && unchanged)
}

async fn orphans(tx: &Tx<'_>) -> Outcome<Check> {
    let mut found = 0;
    for sql in [sql::CHECK_ORPHANS, sql::CHECK_STRAY_ROWS] {
        found += count(&tx.one(sql, &[]).await?, 0)?;
    }
    Ok(Check::compare(
        names::ORPHANS,
        found,
        0,
        "references that lead nowhere, or to a vector of another version",
    ))
}

async fn foreign_keys(tx: &Tx<'_>) -> Outcome<Check> {
    let mut faults = Faults::default();
    for row in tx.rows(sql::CHECK_REFERENCES, &[]).await? {
        let (what, how_many): (String, u64) = (get(&row, 0)?, count(&row, 1)?);
        faults.add(|| format!("{what}: {how_many}"));
    }
    Ok(faults.check(names::FOREIGN_KEYS, "references that do not hold"))
}

async fn generation(tx: &Tx<'_>) -> Outcome<Check> {
    let row = tx.one(sql::CHECK_GENERATION, &[]).await?;
    let mut check = Check::compare(
        names::GENERATION,
        count(&row, 0)?,
        count(&row, 1)?,
        "the store's counter, against the sum of the collections'",
    );
    if !get::<bool>(&row, 2)? {
        check.ok = false;
        check.detail = "the store's identity is not 32 hexadecimal digits".to_owned();
    }
    Ok(check)
}

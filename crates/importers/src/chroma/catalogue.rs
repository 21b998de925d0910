//! Which collections a directory holds, and which of them are meant.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use storage_core::{ImportError, ImportErrorKind, Metric};

use super::ChromaOptions;
use super::damage::sqlite;
use super::database::columns;
use super::names::{self, DEFAULT_DATABASE, DEFAULT_TENANT, Name};
use super::space::{self, Places};

const INDEX: &str = "urn:chroma:segment/vector/hnsw-local-persisted";

/// Files of an index that are read.
const INDEX_FILES: [&str; 4] = [
    "index_metadata.pickle",
    "header.bin",
    "data_level0.bin",
    "length.bin",
];

/// A collection, as the tables describe it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: String,
    /// Its name, with the database before it where another collection has the same.
    pub(super) title: String,
    /// Numbers per vector; `None` while nothing was ever written.
    pub(super) dimensions: Option<NonZeroU32>,
    pub(super) metric: Metric,
    /// The segment that knows ids, texts and metadata.
    pub(super) metadata_segment: String,
    /// The segment that knows vectors; its id is the name of a directory.
    pub(super) vector_segment: String,
    pub(super) notes: Vec<String>,
}

impl Entry {
    /// A file of its index, from the persistent directory.
    pub(super) fn index_file(&self, name: &str) -> PathBuf {
        Path::new(&self.vector_segment).join(name)
    }

    /// All files of its index that are read.
    pub(super) fn index_files(&self) -> Vec<PathBuf> {
        INDEX_FILES
            .iter()
            .map(|name| self.index_file(name))
            .collect()
    }
}

/// A row of `collections`, before its segments are looked up.
struct Listed {
    id: String,
    name: Name,
    /// Its name, with the database before it where another collection has the same.
    title: String,
    /// That there is such another one.
    note: Option<String>,
    dimension: Option<i64>,
    config: Option<String>,
    schema: Option<String>,
}

/// The wanted collections, in the order of tenant, database and name. Others may be of any form: they are not looked at.
///
/// # Errors
/// `NotFound` for a name that none has, with the names there are; whatever is wrong with one that is wanted.
pub(super) fn wanted(
    connection: &Connection,
    options: &ChromaOptions,
    directory: &Path,
) -> Result<Vec<Entry>, ImportError> {
    let mut all = rows(connection)?;
    let titles = names::titles(&all.iter().map(|listed| &listed.name).collect::<Vec<_>>());
    for (listed, (title, note)) in all.iter_mut().zip(titles) {
        listed.title = title;
        listed.note = note;
    }
    let chosen = select(all, options, directory)?.into_iter();
    chosen.map(|listed| describe(connection, listed)).collect()
}

fn rows(connection: &Connection) -> Result<Vec<Listed>, ImportError> {
    let present = columns(connection, "collections")?;
    let column = |name: &'static str| match present.contains(name) {
        true => format!("c.{name}"),
        false => "NULL".to_owned(),
    };
    let (config, schema) = (column("config_json_str"), column("schema_str"));
    let has_databases =
        present.contains("database_id") && !columns(connection, "databases")?.is_empty();
    let (names, join) = if has_databases {
        (
            "d.name, d.tenant_id",
            "LEFT JOIN databases AS d ON d.id = c.database_id",
        )
    } else {
        ("NULL, NULL", "")
    };
    let sql = format!(
        "SELECT c.id, c.name, c.dimension, {names}, {config}, {schema} FROM collections AS c {join} \
         ORDER BY 5, 4, 2, 1"
    );
    let mut statement = connection.prepare(&sql).map_err(sqlite)?;
    let rows = statement
        .query_map([], |row| {
            let database: Option<String> = row.get(3)?;
            let tenant: Option<String> = row.get(4)?;
            Ok(Listed {
                id: row.get(0)?,
                name: Name {
                    tenant: tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned()),
                    database: database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
                    name: row.get(1)?,
                },
                title: String::new(),
                note: None,
                dimension: row.get(2)?,
                config: row.get(5)?,
                schema: row.get(6)?,
            })
        })
        .map_err(sqlite)?;
    rows.collect::<Result<_, _>>().map_err(sqlite)
}

fn describe(connection: &Connection, listed: Listed) -> Result<Entry, ImportError> {
    let refuse = |kind, what: String| {
        Err(ImportError::new(
            kind,
            format!("collection `{}`: {what}", listed.title),
        ))
    };
    let dimensions = match listed.dimension {
        None => None,
        Some(number) => match u32::try_from(number).ok().and_then(NonZeroU32::new) {
            Some(number) if number.get() <= 1 << 16 => Some(number),
            _ => {
                return refuse(
                    ImportErrorKind::Damaged,
                    format!("vectors of {number} numbers cannot be"),
                );
            }
        },
    };
    let (vector_segment, kind) = match segment(connection, &listed.id, "VECTOR")? {
        Ok(found) => found,
        Err(count) => {
            let what = format!("it has {count} vector segments instead of one");
            return refuse(ImportErrorKind::Damaged, what);
        }
    };
    if kind != INDEX {
        let what = format!(
            "its vectors are in a segment of type `{kind}`, which is not read; export it through Chroma itself"
        );
        return refuse(ImportErrorKind::Unsupported, what);
    }
    // It becomes a path below the directory.
    let is_uuid = vector_segment.len() == 36
        && vector_segment
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uuid {
        let what = "the name of its vector segment is no UUID".to_owned();
        return refuse(ImportErrorKind::Damaged, what);
    }
    let metadata_segment = match segment(connection, &listed.id, "METADATA")? {
        Ok((id, _)) => id,
        Err(count) => {
            let what = format!("it has {count} metadata segments instead of one");
            return refuse(ImportErrorKind::Damaged, what);
        }
    };
    let parse = |text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => serde_json::from_str::<Value>(text).map(Some),
    };
    let (Ok(schema), Ok(config)) = (parse(&listed.schema), parse(&listed.config)) else {
        let what = "its configuration is no JSON".to_owned();
        return refuse(ImportErrorKind::Damaged, what);
    };
    let of_collection = space_of(
        connection,
        "collection_metadata",
        "collection_id",
        &listed.id,
    )?;
    let of_segment = space_of(
        connection,
        "segment_metadata",
        "segment_id",
        &vector_segment,
    )?;
    let places = Places {
        schema: schema.as_ref(),
        config: config.as_ref(),
        collection: of_collection.as_deref(),
        segment: of_segment.as_deref(),
    };
    let metric = match space::detect(&places) {
        Ok(metric) => metric,
        Err(word) => {
            let what = format!("its distance `{word}` is none of l2, cosine and ip");
            return refuse(ImportErrorKind::Unsupported, what);
        }
    };
    Ok(Entry {
        notes: space::embedding_function(&places)
            .into_iter()
            .chain(listed.note)
            .collect(),
        title: listed.title,
        id: listed.id,
        dimensions,
        metric,
        metadata_segment,
        vector_segment,
    })
}

/// The one segment of a scope, with its type; or how many there are.
fn segment(
    connection: &Connection,
    collection: &str,
    scope: &str,
) -> Result<Result<(String, String), usize>, ImportError> {
    let mut statement = connection
        .prepare_cached("SELECT id, type FROM segments WHERE collection = ?1 AND scope = ?2")
        .map_err(sqlite)?;
    let mut found = statement
        .query_map([collection, scope], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(sqlite)?
        .collect::<Result<Vec<(String, String)>, _>>()
        .map_err(sqlite)?;
    Ok(match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (count, _) => Err(count),
    })
}

fn space_of(
    connection: &Connection,
    table: &str,
    column: &str,
    id: &str,
) -> Result<Option<String>, ImportError> {
    if columns(connection, table)?.is_empty() {
        return Ok(None);
    }
    let sql = format!("SELECT str_value FROM {table} WHERE {column} = ?1 AND key = 'hnsw:space'");
    let found: Option<Option<String>> = connection
        .query_row(&sql, [id], |row| row.get(0))
        .optional()
        .map_err(sqlite)?;
    Ok(found.flatten())
}

/// Those that are wanted, in the directory's order.
///
/// # Errors
/// `NotFound` for a name that none has, with the names there are.
fn select(
    mut entries: Vec<Listed>,
    options: &ChromaOptions,
    directory: &Path,
) -> Result<Vec<Listed>, ImportError> {
    let place = directory.display().to_string();
    if entries.is_empty() {
        return Err(ImportError::new(
            ImportErrorKind::NotFound,
            format!("there is no collection in {place}"),
        ));
    }
    type Field = fn(&Listed) -> &str;
    let fields: [(&str, &Option<String>, Field); 2] = [
        ("tenant", &options.tenant, |entry| &entry.name.tenant),
        ("database", &options.database, |entry| &entry.name.database),
    ];
    for (what, wanted, field) in fields {
        let Some(wanted) = wanted else {
            continue;
        };
        if !entries.iter().any(|entry| field(entry) == wanted) {
            let mut there: Vec<&str> = entries.iter().map(field).collect();
            there.dedup();
            return Err(names::missing(what, wanted, there, &place));
        }
        entries.retain(|entry| field(entry) == wanted);
    }
    names::select(
        entries,
        |entry| (&entry.name, &entry.title),
        &options.collections,
        &place,
    )
}

//! What statements alone cannot carry over from an older schema.

use rusqlite::{Connection, ErrorCode};
use storage_core::{EmbedText, InputHash};

use crate::error::{Failure, Outcome};
use crate::rows::{self, DOCUMENT_COLUMNS, Names};
use crate::sql;

/// The step that follows a migration's statements, in the same transaction.
pub(crate) fn after(conn: &Connection, migration: u32) -> Outcome<()> {
    match migration {
        2 => recipes(conn),
        _ => Ok(()),
    }
}

/// Schema 1 knew one recipe a collection. A version that was filled by an earlier one carries the wrong recipe now, and
/// nobody can tell the right one: it is forgotten. Its vectors stay.
///
/// What cannot be read is carried over as it is: `validate` and `repair` look at today's schema only, so a damaged
/// store has to reach it.
fn recipes(conn: &Connection) -> Outcome<()> {
    let mut statement = conn.prepare(sql::CARRIED_COLLECTIONS)?;
    let mut collections = statement.query(())?;
    while let Some(row) = collections.next()? {
        // Where nothing is served, every version may be the one that was.
        if let Some(active) = row.get(2)? {
            let misfits = row
                .get(1)
                .map_err(Failure::from)
                .and_then(|name| misfits(conn, row.get(0)?, name, active));
            for version in readable(misfits)?.unwrap_or_default() {
                for sql in [sql::FORGET_PREVIOUS, sql::DROP_BINDINGS, sql::DROP_VERSION] {
                    conn.execute(sql, [version])?;
                }
            }
        }
    }
    Ok(())
}

/// The versions of a collection, but for the one it serves, that were not made by the recipe they carry.
fn misfits(conn: &Connection, id: i64, name: String, active: i64) -> Outcome<Vec<i64>> {
    let names = Names::read(conn, &rows::collection_name(name)?, id)?;
    let mut misfits = Vec::new();
    for version in rows::versions(conn, id)? {
        let number = version.number;
        if number != active {
            let recipe = EmbedText::parse(&version.version.embed_text).unwrap_or_default();
            if readable(fits(conn, id, number, &recipe, &names))? == Some(false) {
                misfits.push(number);
            }
        }
    }
    Ok(misfits)
}

fn fits(
    conn: &Connection,
    collection: i64,
    version: i64,
    recipe: &EmbedText,
    names: &Names,
) -> Outcome<bool> {
    let mut statement = conn.prepare_cached(sql::CHECK_INPUTS)?;
    let mut rows = statement.query((collection, version))?;
    while let Some(row) = rows.next()? {
        let text = recipe.render(&names.document(row)?);
        if rows::input_hash(row, DOCUMENT_COLUMNS)? != Some(InputHash::of(&text)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None` for what is stored and cannot be read; disks, locks and memory stay errors.
fn readable<T>(outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Database(error))
            if error
                .sqlite_error_code()
                .is_some_and(|code| code != ErrorCode::DatabaseCorrupt) =>
        {
            Err(error.into())
        }
        Err(_) => Ok(None),
    }
}

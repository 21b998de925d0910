//! What statements alone cannot carry over from an older schema.

use rusqlite::Connection;
use storage_core::{EmbedText, InputHash};

use crate::error::Outcome;
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
fn recipes(conn: &Connection) -> Outcome<()> {
    let collections: Vec<(i64, String, Option<i64>)> = conn
        .prepare(sql::CARRIED_COLLECTIONS)?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, name, active) in collections {
        let names = Names::read(conn, &rows::collection_name(name)?, id)?;
        for version in rows::versions(conn, id)? {
            if Some(version.number) == active {
                continue;
            }
            let recipe = EmbedText::parse(&version.version.embed_text).unwrap_or_default();
            let mut statement = conn.prepare(sql::CHECK_INPUTS)?;
            let mut rows = statement.query((id, version.number))?;
            let mut fits = true;
            while let Some(row) = rows.next()?
                && fits
            {
                let text = recipe.render(&names.document(row)?);
                fits = rows::input_hash(row, DOCUMENT_COLUMNS)? == Some(InputHash::of(&text));
            }
            drop(rows);
            if !fits {
                for sql in [sql::FORGET_PREVIOUS, sql::DROP_BINDINGS, sql::DROP_VERSION] {
                    conn.execute(sql, [version.number])?;
                }
            }
        }
    }
    Ok(())
}

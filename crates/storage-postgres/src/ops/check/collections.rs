//! Every row of every collection, hashed again.

use futures_util::pin_mut;
use storage_core::guard::{fits, place_guard};
use storage_core::{
    CollectionName, EmbedText, Faults, InputHash, RecordHash, RowFindings, VersionState,
};
use tokio_postgres::types::Type;

use crate::error::Outcome;
use crate::ops::undo;
use crate::rows::{self, DOCUMENT_COLUMNS, Names, count, get};
use crate::sql;
use crate::streams::next_row;
use crate::tx::Tx;

pub(super) async fn check(tx: &Tx<'_>, unready: Faults) -> Outcome<RowFindings> {
    let mut found = RowFindings {
        unready,
        ..RowFindings::default()
    };
    for row in tx.rows(sql::COLLECTIONS, &[]).await? {
        let id: i64 = get(&row, 0)?;
        let name = rows::collection_name(get(&row, 1)?)?;
        let recorded = (count(&row, 5)?, count(&row, 6)?);
        let active: Option<i64> = get(&row, 3)?;
        let mut recipe = EmbedText::default();
        let versions = rows::versions(tx, id).await?;
        let served = versions
            .iter()
            .find(|version| Some(version.number) == active);
        if active.is_some()
            && served.is_none_or(|served| served.version.state != VersionState::Ready)
        {
            found.unready.add(|| name.to_string());
        }
        for version in &versions {
            let parsed = match EmbedText::parse(&version.version.embed_text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    found.wrong_hashes.add(|| format!("{name}: {error}"));
                    continue;
                }
            };
            let bound = tx
                .one(sql::CHECK_BOUND, &[(&version.number, Type::INT8)])
                .await?;
            let bound = count(&bound, 0)?;
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
                inputs_of(tx, id, &name, version.number, &parsed, &mut found).await?;
            }
        }
        let (rows, documents) = collection_rows(tx, id, &name, active, &recipe, &mut found).await?;
        undo::check(tx, id, &name, &mut found.wrong_hashes).await?;
        found.found += rows;
        found.recorded += recorded.0;
        if documents != recorded.1 {
            found
                .wrong_hashes
                .add(|| format!("{name}: {documents} documents, recorded {}", recorded.1));
        }
        let row = tx.one(sql::CHECK_CATEGORIES, &[(&id, Type::INT8)]).await?;
        found.categories.0 += count(&row, 0)?;
        found.categories.1 += count(&row, 1)?;
        if count(&row, 2)? > 0 {
            found.wrong_categories.add(|| name.to_string());
        }
    }
    Ok(found)
}

/// Whether the vectors that rows have in a version that is not served are of the rows' own texts.
async fn inputs_of(
    tx: &Tx<'_>,
    id: i64,
    name: &CollectionName,
    version: i64,
    recipe: &EmbedText,
    found: &mut RowFindings,
) -> Outcome<()> {
    let names = Names::read(tx, name, id).await?;
    let stream = tx
        .stream(
            sql::CHECK_INPUTS,
            &[(&id, Type::INT8), (&version, Type::INT8)],
        )
        .await?;
    pin_mut!(stream);
    while let Some(row) = next_row(tx.patience, &mut stream).await? {
        let Ok(document) = names.document(&row) else {
            continue;
        };
        let input = rows::input_hash(&row, DOCUMENT_COLUMNS);
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
async fn collection_rows(
    tx: &Tx<'_>,
    id: i64,
    name: &CollectionName,
    active: Option<i64>,
    recipe: &EmbedText,
    found: &mut RowFindings,
) -> Outcome<(u64, u64)> {
    let names = Names::read(tx, name, id).await?;
    let stream = tx
        .stream(sql::CHECK_ROWS, &[(&id, Type::INT8), (&active, Type::INT8)])
        .await?;
    pin_mut!(stream);
    let (mut rows_found, mut documents) = (0, 0);
    let mut last: Option<String> = None;
    while let Some(row) = next_row(tx.patience, &mut stream).await? {
        rows_found += 1;
        let document = match names.document(&row) {
            Ok(document) => document,
            Err(failure) if failure.is_corrupt() => {
                found
                    .wrong_hashes
                    .add(|| format!("{name}: {}", failure.fact()));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let key = &document.key;
        let place = || format!("{name}: {:?} chunk {}", key.document, key.chunk);
        let input = rows::input_hash(&row, DOCUMENT_COLUMNS + 1);
        if matches!(input, Ok(None)) {
            found.unserved.add(place);
        }
        match rows::record_hash(&row, DOCUMENT_COLUMNS) {
            Ok(None) => found.unadopted.add(place),
            hash => {
                let hash_fits = hash.is_ok_and(|hash| hash == Some(RecordHash::of(&document)));
                let input_fits = match input {
                    Ok(Some(input)) => input == InputHash::of(&recipe.render(&document)),
                    Ok(None) => true,
                    Err(_) => false,
                };
                let column = DOCUMENT_COLUMNS + 2;
                let source: i64 = get(&row, 2)?;
                let expected = place_guard(id, &key.document, key.chunk, source, &document.locator);
                let stamp = [
                    get(&row, column + 1)?,
                    get(&row, column + 2)?,
                    get(&row, column + 3)?,
                ];
                let stored: Option<i64> = get(&row, column)?;
                let place_fits = stored.is_some_and(|stored| fits(stored, expected, &stamp));
                if !hash_fits || !input_fits || !place_fits {
                    found.wrong_hashes.add(place);
                }
            }
        }
        if last.as_deref() != Some(&*document.key.document) {
            documents += 1;
            last = Some(document.key.document);
        }
    }
    Ok((rows_found, documents))
}

//! Every vector of a space by name, page by page.

use rusqlite::Connection;
use storage_core::{
    ContentHash, Embedding, InputHash, KeptVector, SpaceId, StoredVector, Timestamp, VectorKey,
};

use super::pages::{Cursor, Pages};
use super::versions::space;
use crate::error::{Failure, Outcome};
use crate::{rows, sql};
use storage_core::guard::{fits, guard};

/// Vectors a page: enough to make a page cheap, little enough to keep memory bounded.
const PAGE: usize = 128;

/// All vectors of a space.
pub(crate) struct OfSpace(pub(crate) SpaceId);

/// Where reading them stands.
pub(crate) struct Kept {
    id: SpaceId,
    number: i64,
    dimensions: u32,
    /// The name that was read last, or what sorts before every name.
    after: (Vec<u8>, Vec<u8>),
    done: bool,
}

impl Pages for OfSpace {
    const OPERATION: &'static str = "vectors";
    type Item = KeptVector;
    type Cursor = Kept;

    fn start(&self, conn: &Connection) -> Outcome<Option<Kept>> {
        Ok(space(conn, &self.0)?.map(|space| Kept {
            id: self.0.clone(),
            number: space.number,
            dimensions: space.dimensions,
            after: (Vec::new(), Vec::new()),
            done: false,
        }))
    }
}

impl Cursor for Kept {
    type Item = KeptVector;

    fn page(&mut self, conn: &Connection) -> Outcome<Vec<KeptVector>> {
        let mut statement = conn.prepare_cached(sql::KEPT_VECTORS)?;
        let (input, variant) = &self.after;
        let mut rows = statement.query((self.number, input, variant, PAGE as i64))?;
        let mut page = Vec::with_capacity(PAGE);
        while let Some(row) = rows.next()? {
            page.push(self.kept(row)?);
        }
        self.done = page.len() < PAGE;
        if let Some(KeptVector { vector, .. }) = page.last() {
            self.after = (
                vector.key.input.as_bytes().to_vec(),
                rows::variant_bytes(vector.key.variant.as_ref()).to_vec(),
            );
        }
        Ok(page)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

impl Kept {
    fn kept(&self, row: &rusqlite::Row<'_>) -> Outcome<KeptVector> {
        let input = InputHash::from_stored(rows::blob(row, 0)?)
            .map_err(|_| damaged("a vector's name is damaged"))?;
        let variant = rows::variant(row, 1)?;
        let bytes = rows::blob(row, 5)?;
        let stored_at: i64 = row.get(4)?;
        let stamp = [row.get(3)?, stored_at];
        if !fits(row.get(2)?, guard(bytes), &stamp) {
            return Err(damaged("a vector's checksum does not fit"));
        }
        // The checksum covers the numbers, not the name; what an import named after its numbers tells by itself.
        if variant.is_some_and(|variant| variant != ContentHash::of(bytes)) {
            return Err(damaged("an imported vector is not what it is named after"));
        }
        let embedding = Embedding::from_le_bytes(bytes)
            .ok()
            .filter(|embedding| embedding.dimensions() == self.dimensions)
            .ok_or_else(|| damaged("a vector is unusable"))?;
        Ok(KeptVector {
            vector: StoredVector {
                key: VectorKey {
                    space: self.id.clone(),
                    input,
                    variant,
                },
                embedding,
            },
            stored_at: Timestamp(stored_at),
        })
    }
}

fn damaged(fault: &str) -> Failure {
    Failure::corrupt(
        "vectors",
        format!("{fault}; run `smart-support repair`, then `smart-support sync`"),
    )
}

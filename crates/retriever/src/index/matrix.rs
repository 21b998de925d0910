//! The vectors: rows beside each other in one mapping, with what every score of a row needs.

use memmap2::MmapMut;
use storage_core::{Result, StoreError, StoreErrorKind};

use crate::kernel::inverse_norm;

/// Rows × dimensions as they were stored. The pages come from the system as they are written, so room that is never
/// used costs nothing, and all of them go back to it when the index does. Large pages are not asked for: with memory in
/// pieces, as it is on a machine that has run for a while, putting them together took more time than the faults they spare.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    numbers: Option<MmapMut>,
    /// Rows there is room for.
    room: usize,
    dimensions: usize,
    /// One over each row's norm.
    inverse_norms: Vec<f32>,
}

impl Matrix {
    /// Room for so many rows; more may come.
    pub(super) fn with_room(rows: usize, dimensions: usize) -> Result<Self> {
        let mut matrix = Self {
            dimensions,
            inverse_norms: Vec::with_capacity(rows),
            ..Self::default()
        };
        matrix.make_room(rows)?;
        Ok(matrix)
    }

    pub(super) fn rows(&self) -> usize {
        self.inverse_norms.len()
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// All numbers, row after row.
    pub(super) fn numbers(&self) -> &[f32] {
        let length = self.rows() * self.dimensions;
        self.numbers
            .as_deref()
            .and_then(|bytes| bytemuck::cast_slice(bytes).get(..length))
            .unwrap_or_default()
    }

    pub(super) fn inverse_norms(&self) -> &[f32] {
        &self.inverse_norms
    }

    pub(super) fn row(&self, position: usize) -> Option<&[f32]> {
        let start = position.checked_mul(self.dimensions)?;
        self.numbers()
            .get(start..start.checked_add(self.dimensions)?)
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: &[f32]) -> Result<()> {
        let rows = self.rows();
        if rows == 0 {
            self.dimensions = row.len();
        }
        if row.len() != self.dimensions {
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                "load",
                "vectors of one version differ in length; find them with `smart-support validate`",
            ));
        }
        if rows >= self.room || self.numbers.is_none() {
            // The store grew while it was read: by little, as a rule.
            self.make_room((rows + rows / 8).max(64))?;
        }
        let start = rows * self.dimensions;
        let place = self
            .numbers
            .as_deref_mut()
            .and_then(|bytes| bytemuck::cast_slice_mut(bytes).get_mut(start..start + row.len()));
        place.ok_or_else(no_memory)?.copy_from_slice(row);
        self.inverse_norms.push(inverse_norm(row));
        Ok(())
    }

    fn make_room(&mut self, rows: usize) -> Result<()> {
        let bytes = rows
            .checked_mul(self.dimensions)
            .and_then(|numbers| numbers.checked_mul(size_of::<f32>()))
            .ok_or_else(no_memory)?;
        if bytes > 0 {
            let mut room =
                MmapMut::map_anon(bytes).map_err(|error| no_memory().with_source(error))?;
            let old = bytemuck::cast_slice(self.numbers());
            room[..old.len()].copy_from_slice(old);
            self.numbers = Some(room);
        }
        self.room = rows;
        Ok(())
    }
}

fn no_memory() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "load",
        "there is no memory for the vectors of the collection; give the process more, or search without an index",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_room_are_kept_like_the_others() {
        let mut matrix = Matrix::with_room(2, 3).unwrap();
        let rows: Vec<[f32; 3]> = (1..200u8).map(|n| [f32::from(n), 0.5, -1.0]).collect();
        for row in &rows {
            matrix.push(row).unwrap();
        }
        assert_eq!(matrix.numbers(), rows.concat());
        assert_eq!(matrix.row(198), Some(&rows[198][..]));
        assert_eq!(matrix.row(199), None);
        assert_eq!(
            matrix.push(&[1.0, 2.0]).unwrap_err().kind(),
            StoreErrorKind::Corrupt
        );
        assert_eq!(matrix.rows(), 199);
    }

    #[test]
    fn nothing_expected_is_no_obstacle() {
        let mut matrix = Matrix::with_room(0, 0).unwrap();
        assert!(matrix.numbers().is_empty());
        matrix.push(&[3.0, 4.0]).unwrap();
        assert_eq!(matrix.numbers(), [3.0, 4.0]);
        assert_eq!(matrix.inverse_norms(), [0.2]);
    }
}

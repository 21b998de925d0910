//! What the log says of each id: which row holds the vector that was written last, and what the tables have not seen.
//!
//! The beginning of the log may have been purged, so whether an id was there at first is not always known; a row that
//! may have changed nothing is told from one that did.

/// What a log row does, as Chroma numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Nothing, if the id is there.
    Add,
    /// Nothing, if the id is not there.
    Update,
    /// Either.
    Upsert,
    /// Nothing, if the id is not there.
    Delete,
}

impl Operation {
    /// `None` for a number of a later version; such rows carry no vector.
    pub(super) fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Add),
            1 => Some(Self::Update),
            2 => Some(Self::Upsert),
            3 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// A log row of one id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) seq_id: i64,
    pub(super) operation: Operation,
    pub(super) has_vector: bool,
}

/// Is the id there, just before the next row?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Presence {
    #[default]
    Unknown,
    Present,
    Absent,
}

/// A log row with a vector that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effective {
    pub(super) seq_id: i64,
    /// Did it for certain? Where not, a vector of the index is the better one.
    pub(super) certain: bool,
}

/// One id while the log is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Track {
    presence: Presence,
    effective: Option<Effective>,
}

impl Track {
    /// An id that is known to be absent.
    pub(super) fn absent() -> Self {
        Self {
            presence: Presence::Absent,
            effective: None,
        }
    }

    /// The tables have seen this row. `touched` is the last row that the tables took for this id, where that is known:
    /// what comes after it changed nothing.
    pub(super) fn seen(&mut self, row: Row, touched: Option<i64>) {
        if touched.is_some_and(|touched| row.seq_id > touched) {
            return;
        }
        let is_touched = touched == Some(row.seq_id);
        let took_effect = match row.operation {
            Operation::Delete => {
                *self = Self::absent();
                return;
            }
            Operation::Add => is_touched || self.presence != Presence::Present,
            // One that changed nothing for want of the id is followed by the row that made it.
            Operation::Update => is_touched || self.presence != Presence::Absent,
            Operation::Upsert => true,
        };
        if took_effect && row.has_vector {
            let certain =
                is_touched || row.operation != Operation::Add || self.presence == Presence::Absent;
            self.effective = Some(Effective {
                seq_id: row.seq_id,
                certain,
            });
        }
        if matches!(row.operation, Operation::Add | Operation::Upsert) {
            self.presence = Presence::Present;
        }
    }

    /// The tables have not seen this row, but it is known whether the id is there.
    pub(super) fn unseen(&mut self, row: Row, is_there: bool) {
        self.presence = if is_there {
            Presence::Present
        } else {
            Presence::Absent
        };
        self.seen(row, None);
    }

    /// The row that holds the vector.
    pub(super) fn effective(&self) -> Option<Effective> {
        self.effective
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Add, Delete, Update, Upsert};
    use super::*;

    /// The row in effect after these, each with its place from 1 and whether it has a vector.
    fn after(rows: &[(Operation, bool)], touched: Option<i64>) -> Option<(i64, bool)> {
        let mut track = Track::default();
        for (seq_id, &(operation, has_vector)) in (1..).zip(rows) {
            let row = Row {
                seq_id,
                operation,
                has_vector,
            };
            track.seen(row, touched);
        }
        track
            .effective()
            .map(|effective| (effective.seq_id, effective.certain))
    }

    #[test]
    fn the_last_row_that_took_effect_counts() {
        for (rows, touched, expected) in [
            (&[(Add, true)][..], Some(1), Some((1, true))),
            (&[(Add, true), (Update, true)], Some(2), Some((2, true))),
            // A second add of an id that is there changes nothing.
            (&[(Add, true), (Add, true)], Some(1), Some((1, true))),
            // Where the tables do not say what they took, the first may have been such a one itself.
            (&[(Add, true), (Add, true)], None, Some((1, false))),
            // An update without a vector leaves the one before.
            (&[(Upsert, true), (Update, false)], Some(2), Some((1, true))),
            // Deleted and added again: the record that old indexes forget.
            (&[(Delete, false), (Add, true)], Some(2), Some((2, true))),
            (
                &[(Add, true), (Delete, false), (Add, true), (Update, false)],
                Some(4),
                Some((3, true)),
            ),
            // An update of an absent id changes nothing.
            (
                &[(Delete, false), (Update, true), (Add, true)],
                Some(3),
                Some((3, true)),
            ),
            (
                &[
                    (Delete, false),
                    (Update, true),
                    (Upsert, true),
                    (Update, true),
                ],
                Some(3),
                Some((3, true)),
            ),
            // The beginning is gone.
            (&[(Update, false)], Some(1), None),
            (&[(Update, true)], Some(1), Some((1, true))),
            // Perhaps it was there already, perhaps not.
            (&[(Add, true), (Update, false)], Some(2), Some((1, false))),
            (&[(Upsert, true), (Add, true)], None, Some((1, true))),
        ] {
            assert_eq!(after(rows, touched), expected, "{rows:?} {touched:?}");
        }
    }

    #[test]
    fn rows_the_tables_have_not_seen_are_judged_by_who_is_there() {
        let row = |seq_id, operation| Row {
            seq_id,
            operation,
            has_vector: true,
        };
        let mut track = Track::default();
        track.unseen(row(1, Add), true);
        assert_eq!(track.effective(), None);
        track.unseen(row(2, Update), true);
        assert_eq!(track.effective().map(|row| row.seq_id), Some(2));
        track.unseen(row(3, Delete), true);
        track.unseen(row(4, Update), false);
        assert_eq!(track.effective(), None);
        track.unseen(row(5, Add), false);
        assert_eq!(track.effective().map(|row| row.seq_id), Some(5));
    }
}

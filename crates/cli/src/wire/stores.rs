//! The shapes of `diff --json` and `copy --json`.

use serde::Serialize;
use sync_engine::{
    CollectionDifference, Copied, CopyPlan, Fact, RowDifference, Side, StoreDifference,
};

/// `diff`.
#[derive(Debug, Serialize)]
pub(crate) struct Diff {
    pub(crate) equal: bool,
    pub(crate) a: Store,
    pub(crate) b: Store,
    /// Rows of all collections.
    pub(crate) only_a: u64,
    pub(crate) only_b: u64,
    pub(crate) different: u64,
    pub(crate) same: u64,
    /// What differs besides collections.
    pub(crate) facts: Vec<FactJson>,
    pub(crate) collections: Vec<Collection>,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Store {
    pub(crate) store: String,
    pub(crate) generation: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct FactJson {
    pub(crate) what: String,
    pub(crate) a: Option<String>,
    pub(crate) b: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Collection {
    pub(crate) collection: String,
    #[serde(rename = "in")]
    pub(crate) side: &'static str,
    pub(crate) equal: bool,
    pub(crate) records: Both<u64>,
    pub(crate) generation: Both<u64>,
    pub(crate) only_a: u64,
    pub(crate) only_b: u64,
    pub(crate) different: u64,
    pub(crate) same: u64,
    pub(crate) facts: Vec<FactJson>,
    /// The first 1000 rows that differ, in key order.
    pub(crate) rows: Vec<Row>,
    /// Rows that differ and are not listed.
    pub(crate) rows_left_out: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Both<T> {
    pub(crate) a: T,
    pub(crate) b: T,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) chunk: u32,
    #[serde(rename = "in")]
    pub(crate) side: &'static str,
    pub(crate) fields: Vec<&'static str>,
    pub(crate) sheet: Option<String>,
    pub(crate) row: Option<u64>,
}

fn side(side: Side) -> &'static str {
    match side {
        Side::A => "a",
        Side::B => "b",
        Side::Both => "both",
    }
}

impl From<&Fact> for FactJson {
    fn from(fact: &Fact) -> Self {
        Self {
            what: fact.what.clone(),
            a: fact.a.clone(),
            b: fact.b.clone(),
        }
    }
}

impl From<&RowDifference> for Row {
    fn from(row: &RowDifference) -> Self {
        Self {
            id: row.key.document.clone(),
            chunk: row.key.chunk,
            side: side(row.side),
            fields: row.fields.iter().map(|field| field.as_str()).collect(),
            sheet: row.locator.sheet.clone(),
            row: row.locator.row,
        }
    }
}

impl From<&CollectionDifference> for Collection {
    fn from(found: &CollectionDifference) -> Self {
        Self {
            collection: found.name.to_string(),
            side: side(found.side),
            equal: found.is_equal(),
            records: Both {
                a: found.records.0,
                b: found.records.1,
            },
            generation: Both {
                a: found.generations.0.0,
                b: found.generations.1.0,
            },
            only_a: found.only_a,
            only_b: found.only_b,
            different: found.different,
            same: found.same,
            facts: found.facts.iter().map(FactJson::from).collect(),
            rows: found.rows.iter().map(Row::from).collect(),
            rows_left_out: found.rows_that_differ() - found.rows.len() as u64,
        }
    }
}

impl Diff {
    pub(crate) fn of(found: &StoreDifference, a: String, b: String, seconds: f64) -> Self {
        let sum = |of: fn(&CollectionDifference) -> u64| found.collections.iter().map(of).sum();
        Self {
            equal: found.is_equal(),
            a: Store {
                store: a,
                generation: found.generations.0.0,
            },
            b: Store {
                store: b,
                generation: found.generations.1.0,
            },
            only_a: sum(|collection| collection.only_a),
            only_b: sum(|collection| collection.only_b),
            different: sum(|collection| collection.different),
            same: sum(|collection| collection.same),
            facts: found.facts.iter().map(FactJson::from).collect(),
            collections: found.collections.iter().map(Collection::from).collect(),
            seconds,
            requests: 0,
        }
    }
}

/// `copy`.
#[derive(Debug, Serialize)]
pub(crate) struct StoreCopy {
    pub(crate) dry_run: bool,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) copied: CopiedCounts,
    /// Bytes of the vectors that were written.
    pub(crate) bytes: u64,
    /// The source's generation that was copied.
    pub(crate) generation: u64,
    pub(crate) target_generation: Option<u64>,
    /// How often the source was gone through: more than once where it was written to meanwhile.
    pub(crate) rounds: usize,
    /// Whether the copy was compared with its source and is the same.
    pub(crate) verified: bool,
    pub(crate) difference: Option<Diff>,
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct CopiedCounts {
    pub(crate) collections: u64,
    pub(crate) rows: u64,
    /// Vectors that were written.
    pub(crate) vectors: u64,
    /// Vectors that the target had already.
    pub(crate) vectors_there: u64,
    pub(crate) spaces: u64,
    pub(crate) versions: u64,
    pub(crate) runs: u64,
}

impl From<&Copied> for CopiedCounts {
    fn from(report: &Copied) -> Self {
        Self {
            collections: report.collections,
            rows: report.rows,
            vectors: report.vectors,
            vectors_there: report.vectors_there,
            spaces: report.spaces,
            versions: report.versions,
            runs: report.runs,
        }
    }
}

impl From<&CopyPlan> for CopiedCounts {
    fn from(plan: &CopyPlan) -> Self {
        let collections = &plan.collections;
        Self {
            collections: collections.len() as u64,
            rows: collections.iter().map(|planned| planned.rows).sum(),
            vectors: plan.vectors,
            vectors_there: 0,
            spaces: plan.spaces,
            versions: collections.iter().map(|planned| planned.versions).sum(),
            runs: plan.runs,
        }
    }
}

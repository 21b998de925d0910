//! `switch`: serving another version is a pointer, not a matter of rows.

use std::time::Duration;

use anyhow::Result;
use integration_tests::StubApi;

use crate::bench::data::{templates, write_jsonl};
use crate::bench::figure::Figure;
use crate::bench::measure::{interleaved, mean_cpu_ms};
use crate::bench::product::{Product, Provider};

const ROWS: [usize; 2] = [201, 100_000];
const WORDS: usize = 22;
/// Short vectors: a switch looks at none of them.
const DIMENSIONS: usize = 16;
const ROUNDS: u32 = 5;
const RUNS: u32 = 20;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let api = StubApi::start(DIMENSIONS, Duration::ZERO);
    let provider = Provider::Api(api.url());
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let mut stores = Vec::new();
    for (directory, rows) in directories.iter().zip(ROWS) {
        let source = directory.path().join("faq.jsonl");
        let store = directory.path().join("s.db");
        write_jsonl(&source, &templates(rows, WORDS))?;
        let batch = ["--batch-size", "1000"].map(AsRef::as_ref);
        let migrate = [
            "migrate".as_ref(),
            "--no-verify".as_ref(),
            "--faq-path".as_ref(),
            source.as_os_str(),
        ];
        product.run(&store, &provider, migrate.into_iter().chain(batch))?;
        product.run(
            &store,
            &provider,
            ["model", "build", "other-model", "--batch-size", "1000"],
        )?;
        product.run(&store, &provider, ["model", "promote", "other-model"])?;
        stores.push(store);
    }
    let switch = |store: usize| {
        mean_cpu_ms(RUNS, || {
            product
                .run(&stores[store], &provider, ["model", "rollback"])
                .map(drop)
        })
    };
    let looking = || {
        mean_cpu_ms(RUNS, || {
            product
                .run(&stores[0], &provider, ["model", "list"])
                .map(drop)
        })
    };
    let [few, many, look] = interleaved(
        ROUNDS,
        [&mut || switch(0), &mut || switch(1), &mut || looking()],
    )?;
    Ok(vec![
        Figure::new(
            "switch",
            "rollback at 201 rows: CPU above looking",
            "ms",
            few - look,
        )
        .beside("`model list`, the whole process", look)
        .at_most(5.0),
        Figure::new(
            "switch",
            "rollback at 100,000 rows: CPU, the whole process",
            "ms",
            many,
        )
        .beside("the same at 201 rows", few)
        .ratio_at_most(2.0),
    ])
}

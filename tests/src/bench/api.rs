//! `api`: requests are batched and in flight together, and an update sends nothing but what changed.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::Result;
use embedder_client::testing::StubApi;

use crate::bench::data::{template, templates, write_jsonl};
use crate::bench::figure::Figure;
use crate::bench::measure::median;
use crate::bench::product::{Product, Provider};

const LATENCY_MS: u32 = 400;
const DIMENSIONS: usize = 1024;
const TEMPLATES: usize = 201;
const BATCH: usize = 10;
const CONCURRENCY: usize = 4;
/// Words of an answer, about as many as a support team writes.
const WORDS: usize = 40;
const REPEATS: usize = 3;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let requests = TEMPLATES.div_ceil(BATCH);
    let rounds = requests.div_ceil(CONCURRENCY);
    let (mut walls, mut first_requests, mut update_requests) = (vec![], vec![], vec![]);
    for _ in 0..REPEATS {
        let directory = tempfile::tempdir()?;
        let (source, store) = (
            directory.path().join("faq.jsonl"),
            directory.path().join("s.db"),
        );
        let latency = Duration::from_millis(u64::from(LATENCY_MS));
        let api = StubApi::start(DIMENSIONS, latency);
        let provider = Provider::Api(api.url());
        let (batch, concurrency) = (BATCH.to_string(), CONCURRENCY.to_string());
        let sync = |command: &str| {
            let mut args = vec![command.as_ref(), "--faq-path".as_ref(), source.as_os_str()];
            args.extend(["--batch-size", &batch, "--concurrency", &concurrency].map(OsStr::new));
            product.run(&store, &provider, args)
        };
        let mut rows = templates(TEMPLATES, WORDS);
        write_jsonl(&source, &rows)?;
        walls.push(sync("migrate")?.wall_ms);
        first_requests.push(count(api.requests()));

        rows.truncate(TEMPLATES - 1);
        rows.extend((TEMPLATES..TEMPLATES + 5).map(|number| template(number, WORDS)));
        for (row, other) in rows.iter_mut().zip([900, 901]) {
            row.answer = template(other, WORDS).answer;
        }
        write_jsonl(&source, &rows)?;
        let before = api.requests();
        sync("sync")?;
        update_requests.push(count(api.requests() - before));
    }
    let limit = count(rounds) * f64::from(LATENCY_MS);
    let sequential = count(requests) * f64::from(LATENCY_MS);
    let wall = median(walls);
    Ok(vec![
        Figure::new(
            "api",
            "201 templates, batch 10, 4 in flight: wall",
            "ms",
            wall,
        )
        .beside(format!("{rounds} rounds of {LATENCY_MS} ms"), limit)
        .ratio_at_most(1.3),
        Figure::new(
            "api",
            "the same, one request at a time as the first seed",
            "ms",
            wall,
        )
        .beside(
            format!("{requests} requests of {LATENCY_MS} ms"),
            sequential,
        ),
        Figure::new("api", "the same: requests", "", median(first_requests))
            .exactly(count(requests)),
        Figure::new(
            "api",
            "5 new, 2 changed, 1 deleted: requests",
            "",
            most(&update_requests),
        )
        .exactly(1.0),
    ])
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

//! `local`: the model in process, through the binary: cold start, questions a second, filling a store.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::bench::data::{template, templates, write_jsonl, write_query};
use crate::bench::figure::Figure;
use crate::bench::measure::{children_cpu_ms, mean_cpu_ms, median};
use crate::bench::product::{Product, Provider};

const TEMPLATES: usize = 201;
const WORDS: usize = 40;
const DIMENSIONS: usize = 384;
const REPEATS: u32 = 7;
const FEW: u32 = 32;
const MANY: u32 = 352;
const PUBLISHED: &str = "reference implementation, quiet machine";

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let (source, store, query) = (path("faq.jsonl"), path("s.db"), path("q.f32"));
    write_jsonl(&source, &templates(TEMPLATES, WORDS))?;
    write_query(&query, DIMENSIONS)?;
    let started = Instant::now();
    let fill = [
        "migrate".as_ref(),
        "--offline".as_ref(),
        "--faq-path".as_ref(),
        source.as_os_str(),
    ];
    if let Err(error) = product.run(&store, &Provider::Local, fill) {
        let why = format!("{error:#}");
        let why = why.lines().last().unwrap_or_default().to_owned();
        return Ok(vec![Figure::skipped("local", "the local model", why)]);
    }
    let filled = started.elapsed().as_secs_f64();

    let ask = ["search", "--offline", "как закрыть вклад до срока"];
    let ready = [
        "search".as_ref(),
        "--query-vector".as_ref(),
        query.as_os_str(),
    ];
    let (mut walls, mut embeds, mut ready_walls) = (vec![], vec![], vec![]);
    for _ in 0..REPEATS {
        let ran = product.run(&store, &Provider::Local, ask)?;
        walls.push(ran.wall_ms);
        embeds.push(ran.number("/ms/embed")?);
        ready_walls.push(product.run(&store, &Provider::Local, ready)?.wall_ms);
    }
    let cpu = mean_cpu_ms(REPEATS, || {
        product.run(&store, &Provider::Local, ask).map(drop)
    })?;

    let (few, many) = (path("few.jsonl"), path("many.jsonl"));
    write_questions(&few, FEW)?;
    write_questions(&many, MANY)?;
    let mut rates = Vec::new();
    let mut cpu_each = Vec::new();
    for _ in 0..3 {
        let (few_wall, few_cpu) = evaluate(product, &store, &few)?;
        let (many_wall, many_cpu) = evaluate(product, &store, &many)?;
        let count = f64::from(MANY - FEW);
        rates.push(count * 1e3 / (many_wall - few_wall));
        cpu_each.push((many_cpu - few_cpu) / count);
    }
    Ok(vec![
        Figure::new(
            "local",
            "start to the answer to a question: wall",
            "ms",
            median(walls),
        )
        .beside("the same with a ready vector", median(ready_walls)),
        Figure::new(
            "local",
            "the same: embedding the question",
            "ms",
            median(embeds),
        ),
        Figure::new("local", "the same: CPU of all threads", "ms", cpu),
        Figure::new(
            "local",
            "questions a second, batches of 32",
            "/s",
            median(rates),
        )
        .beside(PUBLISHED, 136.0),
        Figure::new("local", "CPU a question", "ms", median(cpu_each)),
        Figure::new(
            "local",
            "201 templates of 46 words into a new store: wall",
            "s",
            filled,
        )
        .beside(PUBLISHED, 5.4),
    ])
}

fn write_questions(path: &Path, count: u32) -> Result<()> {
    let mut lines = String::new();
    for number in 0..count {
        let question = template(5_000 + number as usize, 1).question;
        let line = json!({ "query": question, "gold": ["t1"] });
        lines.push_str(&format!("{line}\n"));
    }
    Ok(std::fs::write(path, lines)?)
}

/// Wall and processor time of asking all questions of a file, in ms.
fn evaluate(product: &Product, store: &Path, golden: &Path) -> Result<(f64, f64)> {
    let args = [
        "eval".as_ref(),
        golden.as_os_str(),
        "--offline".as_ref(),
        "--batch-size".as_ref(),
        "32".as_ref(),
    ];
    let before = children_cpu_ms()?;
    let ran = product.run(store, &Provider::Local, args)?;
    Ok((ran.wall_ms, children_cpu_ms()? - before))
}

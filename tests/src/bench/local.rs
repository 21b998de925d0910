//! `local`: the models in process, through the binary: cold start, questions a second, filling a store.

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

/// One model, and what it is compared with.
struct Case {
    provider: Provider,
    /// How its figures begin.
    label: &'static str,
    question: &'static str,
    /// Questions a second and seconds to fill the store, as published for another implementation.
    published: Option<(f64, f64)>,
    /// Questions a second that are promised on two processors.
    least_rate: Option<f64>,
}

const CASES: [Case; 2] = [
    Case {
        provider: Provider::Local,
        label: "",
        question: "как закрыть вклад до срока",
        published: Some((136.0, 5.4)),
        least_rate: None,
    },
    Case {
        provider: Provider::English,
        label: "all-MiniLM-L6-v2: ",
        question: "how do I close my deposit early",
        published: None,
        least_rate: Some(150.0),
    },
];

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for case in &CASES {
        figures.extend(measure(product, case)?);
    }
    Ok(figures)
}

fn measure(product: &Product, case: &Case) -> Result<Vec<Figure>> {
    let Case {
        provider, label, ..
    } = case;
    let name = |what: &str| format!("{label}{what}");
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
    if let Err(error) = product.run(&store, provider, fill) {
        let why = format!("{error:#}");
        let why = why.lines().last().unwrap_or_default().to_owned();
        return Ok(vec![Figure::skipped("local", name("the local model"), why)]);
    }
    let filled = started.elapsed().as_secs_f64();

    let ask = ["search", "--offline", case.question];
    let ready = [
        "search".as_ref(),
        "--query-vector".as_ref(),
        query.as_os_str(),
    ];
    let (mut walls, mut embeds, mut ready_walls) = (vec![], vec![], vec![]);
    for _ in 0..REPEATS {
        let ran = product.run(&store, provider, ask)?;
        walls.push(ran.wall_ms);
        embeds.push(ran.number("/ms/embed")?);
        ready_walls.push(product.run(&store, provider, ready)?.wall_ms);
    }
    let cpu = mean_cpu_ms(REPEATS, || product.run(&store, provider, ask).map(drop))?;

    let (few, many) = (path("few.jsonl"), path("many.jsonl"));
    write_questions(&few, FEW)?;
    write_questions(&many, MANY)?;
    let mut rates = Vec::new();
    let mut cpu_each = Vec::new();
    for _ in 0..3 {
        let (few_wall, few_cpu) = evaluate(product, provider, &store, &few)?;
        let (many_wall, many_cpu) = evaluate(product, provider, &store, &many)?;
        let count = f64::from(MANY - FEW);
        rates.push(count * 1e3 / (many_wall - few_wall));
        cpu_each.push((many_cpu - few_cpu) / count);
    }
    let (mut rate, mut fill) = (
        Figure::new(
            "local",
            name("questions a second, batches of 32"),
            "/s",
            median(rates),
        ),
        Figure::new(
            "local",
            name("201 templates of 46 words into a new store: wall"),
            "s",
            filled,
        ),
    );
    if let Some((questions, seconds)) = case.published {
        rate = rate.beside(PUBLISHED, questions);
        fill = fill.beside(PUBLISHED, seconds);
    }
    if let Some(least) = case.least_rate {
        rate = rate.at_least(least);
    }
    let start = "start to the answer to a question: wall";
    Ok(vec![
        Figure::new("local", name(start), "ms", median(walls))
            .beside("the same with a ready vector", median(ready_walls)),
        Figure::new(
            "local",
            name("the same: embedding the question"),
            "ms",
            median(embeds),
        ),
        Figure::new("local", name("the same: CPU of all threads"), "ms", cpu),
        rate,
        Figure::new("local", name("CPU a question"), "ms", median(cpu_each)),
        fill,
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
fn evaluate(
    product: &Product,
    provider: &Provider,
    store: &Path,
    golden: &Path,
) -> Result<(f64, f64)> {
    let args = [
        "eval".as_ref(),
        golden.as_os_str(),
        "--offline".as_ref(),
        "--batch-size".as_ref(),
        "32".as_ref(),
    ];
    let before = children_cpu_ms()?;
    let ran = product.run(store, provider, args)?;
    Ok((ran.wall_ms, children_cpu_ms()? - before))
}

//! `eval`: how well the best entries answer questions with known answers, on published sets, and the page about it.
//!
//! Every set goes the way of a user's own: imported with `migrate`, asked with `eval`. Sets are looked for, never
//! fetched; one that is not there is skipped loudly.

mod sets;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::bench::figure::Figure;
use crate::bench::product::{Product, Provider, number};
use crate::bench::report;
use sets::{CASES, Case, Reference, reference_text};

/// Where the sets lie when nobody says: beside the checkout, as the project's developers keep them.
const DEFAULT_DATA: &str = "../shared/data";
const PAGE: &str = "docs/evaluation.md";
/// The project's own questions, and the workbook that they are about.
const GOLDEN: (&str, &str) = (
    "fixtures/smart_support_vtb_belarus_faq_final.xlsx",
    "fixtures/golden.jsonl",
);

/// Accuracy of one set with one provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    pub(crate) queries: f64,
    pub(crate) top1: f64,
    pub(crate) top3: f64,
    pub(crate) mrr: f64,
}

/// One row of the page.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) entries: f64,
    pub(crate) local: Score,
    /// The model that reads English, on what is English, and its own reference.
    pub(crate) english: Option<(Score, String)>,
    pub(crate) hash: Score,
    /// What the reference implementation reached, and on what.
    pub(crate) reference: String,
}

/// The model that was asked, as the product names it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) revision: String,
    pub(crate) dimensions: f64,
}

/// Stores by what is in them, so that none is filled twice.
struct Stores<'a> {
    product: &'a Product,
    directory: tempfile::TempDir,
    filled: BTreeMap<String, f64>,
}

pub(crate) fn run(product: &Product, data: &[PathBuf]) -> Result<Vec<Figure>> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = [checkout.join(DEFAULT_DATA)];
    let data = if data.is_empty() { &default } else { data };
    let mut stores = Stores {
        product,
        directory: tempfile::tempdir()?,
        filled: BTreeMap::new(),
    };
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    let (mut model, mut english_model) = (Model::default(), Model::default());
    for case in CASES {
        let Some(set) = find(data, case.set) else {
            eprintln!(
                "bench: eval: SKIPPED {}: no folder {} given with --data",
                case.name, case.set
            );
            figures.push(Figure::skipped(
                "eval",
                case.name,
                format!("no data set {}", case.set),
            ));
            continue;
        };
        eprintln!("bench: eval: {}", case.name);
        let source = set.join(case.entries);
        let questions = set.join(case.questions);
        let local = stores.ask(&source, &questions, case.recipe, &Provider::Local)?;
        let hash = stores.ask(&source, &questions, case.recipe, &Provider::Hash)?;
        model = model_of(&local.answer)?;
        let english = if case.english {
            let asked = stores.ask(&source, &questions, case.recipe, &Provider::English)?;
            english_model = model_of(&asked.answer)?;
            let reference = reference_text(case.english_reference);
            Some((score(&asked.answer, case.language)?, reference))
        } else {
            None
        };
        let row = Row {
            english,
            name: case.name.to_owned(),
            entries: local.entries,
            local: score(&local.answer, case.language)?,
            hash: score(&hash.answer, case.language)?,
            reference: reference_text(case.reference),
        };
        figures.extend(case_figures(case, &row));
        rows.push(row);
    }
    rows.extend(golden(&checkout, &mut stores, &mut figures, &mut model)?);
    if rows.is_empty() {
        eprintln!("bench: eval: no set was found, so {PAGE} stays as it is");
    } else {
        let page = checkout.join(PAGE);
        std::fs::write(&page, report::page(&rows, &model, &english_model))
            .with_context(|| format!("cannot write {}", page.display()))?;
        eprintln!("bench: eval: wrote {PAGE}");
    }
    Ok(figures)
}

/// The project's own set, once its files are there: all questions, then each language.
fn golden(
    checkout: &Path,
    stores: &mut Stores<'_>,
    figures: &mut Vec<Figure>,
    model: &mut Model,
) -> Result<Vec<Row>> {
    const NAME: &str = "fixture workbook, golden.jsonl";
    let (source, questions) = (checkout.join(GOLDEN.0), checkout.join(GOLDEN.1));
    if !(source.is_file() && questions.is_file()) {
        eprintln!(
            "bench: eval: SKIPPED {NAME}: {} or {} is missing",
            GOLDEN.0, GOLDEN.1
        );
        figures.push(Figure::skipped("eval", NAME, "no golden questions yet"));
        return Ok(Vec::new());
    }
    eprintln!("bench: eval: {NAME}");
    let local = stores.ask(&source, &questions, None, &Provider::Local)?;
    let hash = stores.ask(&source, &questions, None, &Provider::Hash)?;
    *model = model_of(&local.answer)?;
    let languages = local.answer["by_language"].as_object();
    let languages = languages
        .into_iter()
        .flat_map(|groups| groups.keys())
        .map(String::as_str);
    let languages: Vec<&str> = languages.collect();
    let apart = if languages.len() > 1 {
        languages
    } else {
        Vec::new()
    };
    let mut rows = Vec::new();
    for language in std::iter::once(None).chain(apart.into_iter().map(Some)) {
        let row = Row {
            name: language
                .map_or_else(|| NAME.to_owned(), |language| format!("{NAME}, {language}")),
            entries: local.entries,
            local: score(&local.answer, language)?,
            english: None,
            hash: score(&hash.answer, language)?,
            reference: String::new(),
        };
        figures.push(Figure::new(
            "eval",
            format!("{}: top-1", row.name),
            "",
            row.local.top1,
        ));
        figures.push(Figure::new(
            "eval",
            format!("{}: top-3", row.name),
            "",
            row.local.top3,
        ));
        rows.push(row);
    }
    Ok(rows)
}

fn case_figures(case: &Case, row: &Row) -> Vec<Figure> {
    let two = |name: String, score: &Score, reference: Option<Reference>| {
        let figure = |what: &str, ours: f64, reference: Option<f64>| {
            let figure = Figure::new("eval", format!("{name}: {what}"), "", ours);
            match reference {
                Some(value) => figure
                    .beside("reference", value)
                    .at_least_beside_less(case.tolerance),
                None => figure,
            }
        };
        let top3 = reference.and_then(|reference| reference.top3);
        [
            figure("top-1", score.top1, reference.map(|found| found.top1)),
            figure("top-3", score.top3, top3),
        ]
    };
    let mut figures = two(case.name.to_owned(), &row.local, case.reference).to_vec();
    if let Some((score, _)) = &row.english {
        let name = format!("{}, all-MiniLM-L6-v2", case.name);
        figures.extend(two(name, score, case.english_reference));
    }
    figures
}

/// The folder of a set: a given folder has it, or is it.
fn find(data: &[PathBuf], set: &str) -> Option<PathBuf> {
    let candidates = data
        .iter()
        .flat_map(|folder| [folder.join(set), folder.clone()]);
    candidates
        .filter(|folder| folder.file_name().is_some_and(|name| name == set))
        .find(|folder| folder.is_dir())
}

struct Asked {
    entries: f64,
    answer: Value,
}

impl Stores<'_> {
    /// Fills a store where it is not yet, and asks it.
    fn ask(
        &mut self,
        source: &Path,
        questions: &Path,
        recipe: Option<&str>,
        provider: &Provider,
    ) -> Result<Asked> {
        let source = std::path::absolute(source)?;
        let questions = std::path::absolute(questions)?;
        let name = provider.model().unwrap_or(provider.name());
        let key = format!("{name} {} {}", source.display(), recipe.unwrap_or_default());
        let file = if self.filled.contains_key(&key) {
            self.file(&key)
        } else {
            self.fill(&key, &source, recipe, provider)?
        };
        let args = [
            "eval".as_ref(),
            questions.as_os_str(),
            "--batch-size".as_ref(),
            "32".as_ref(),
        ];
        let answer = self.product.run(&file, provider, args)?.json;
        let entries = self.filled.get(&key).copied().unwrap_or_default();
        Ok(Asked { entries, answer })
    }

    fn file(&self, key: &str) -> PathBuf {
        let name: String = key
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() {
                    char
                } else {
                    '_'
                }
            })
            .collect();
        self.directory.path().join(format!("{name}.db"))
    }

    fn fill(
        &mut self,
        key: &str,
        source: &Path,
        recipe: Option<&str>,
        provider: &Provider,
    ) -> Result<PathBuf> {
        let file = self.file(key);
        let mut args = vec![
            "migrate".as_ref(),
            "--faq-path".as_ref(),
            source.as_os_str(),
        ];
        if let Some(recipe) = recipe {
            args.extend(["--embed-text", recipe].map(OsStr::new));
        }
        self.product.run(&file, provider, args)?;
        let status = self.product.run(&file, provider, ["status"])?;
        let entries = status.number("/collections/0/documents")?;
        self.filled.insert(key.to_owned(), entries);
        Ok(file)
    }
}

fn score(answer: &Value, language: Option<&str>) -> Result<Score> {
    let group = match language {
        None => answer,
        Some(language) => answer["by_language"]
            .get(language)
            .with_context(|| format!("no question is in {language}"))?,
    };
    Ok(Score {
        queries: number(group, "/queries")?,
        top1: number(group, "/top1")?,
        top3: number(group, "/top3")?,
        mrr: number(group, "/mrr")?,
    })
}

fn model_of(answer: &Value) -> Result<Model> {
    let text = |key: &str| answer["model"][key].as_str().unwrap_or_default().to_owned();
    Ok(Model {
        name: text("name"),
        revision: text("revision"),
        dimensions: number(answer, "/model/dimensions")?,
    })
}

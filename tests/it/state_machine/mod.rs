//! Any life of any store, against a model of plain maps and double-precision arithmetic: after every step, everything
//! that can be seen of the store is what the model says, and the store's own check holds.
//!
//! `SEED=…` repeats a run; it is printed with a failure, next to the shortest life that still fails.
//! `STATE_MACHINE_CASES` and `STATE_MACHINE_STEPS` ask for more than the 500 lives of up to 30 steps of every run.

mod change;
mod compare;
mod machine;
mod model;
mod operation;
mod subject;
mod values;
mod versions;

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use storage_core::MemoryStore;

use model::Model;
use operation::{Operation, operation};
use subject::{File, InMemory, Subject};

#[test]
fn the_reference_store_lives_as_the_model_says() {
    live::<MemoryStore>();
}

#[test]
fn a_file_lives_as_the_model_says() {
    live::<File>();
}

#[test]
fn a_database_in_memory_lives_as_the_model_says() {
    live::<InMemory>();
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {value}")),
    )
}

fn live<S: Subject>() {
    let seed = number("SEED").unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let cases = number("STATE_MACHINE_CASES").unwrap_or(500);
    let steps = usize::try_from(number("STATE_MACHINE_STEPS").unwrap_or(30)).unwrap();
    let config = ProptestConfig {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let lives = prop::collection::vec(operation(), 1..=steps);
    let outcome = TestRunner::new_with_rng(config, rng).run(&lives, |life| {
        runtime
            .block_on(one::<S>(&life))
            .map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, life)) = outcome {
        panic!(
            "{reason}\n\nSEED={seed} finds it; the shortest life that shows it:\n{}",
            told(&life)
        );
    }
    outcome.unwrap();
}

async fn one<S: Subject>(life: &[Operation]) -> Result<(), String> {
    let mut subject = S::new();
    let status = subject.store().status().await;
    let mut model = Model::default();
    model.store_id = status.map_err(|error| format!("{error:?}"))?.store_id;
    for (n, operation) in life.iter().enumerate() {
        machine::step(&mut subject, &mut model, operation)
            .await
            .map_err(|difference| format!("after step {}: {difference}", n + 1))?;
    }
    Ok(())
}

fn told(life: &[Operation]) -> String {
    let mut told = String::new();
    for (n, operation) in life.iter().enumerate() {
        writeln!(told, "{:3}. {operation:?}", n + 1).unwrap();
    }
    told
}

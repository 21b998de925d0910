//! Owns `cargo xtask ci`: the steps, their order and the table at the end. `.ci/run` calls it and adds nothing.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::environment::{self, Environment};
use crate::test::Outcome;
use crate::workspace::Workspace;
use crate::{features, pg, process, test, tidy, torture};

/// One step: what the table calls it, and what it does.
struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

const STEPS: [Step; 7] = [
    Step {
        name: "fmt",
        run: |workspace| cargo(workspace, &["fmt", "--all", "--check"]),
    },
    Step {
        name: "clippy",
        run: clippy,
    },
    Step {
        name: "tidy",
        run: |workspace| tidy::run(workspace, &tidy::Options::default()).map(|()| Outcome::DONE),
    },
    Step {
        name: "features",
        run: |workspace| features::run(workspace).map(|()| Outcome::DONE),
    },
    Step {
        name: "test",
        run: |workspace| test::run(workspace, &pg::Choice::all(), false, &[]),
    },
    Step {
        name: "torture",
        run: torture::share,
    },
    Step {
        name: "doc",
        run: docs,
    },
];

/// What a release needs beyond every change.
const FULL_STEPS: [Step; 2] = [
    Step {
        name: "clippy, all features",
        run: |workspace| cargo(workspace, &CLIPPY_ALL_FEATURES),
    },
    Step {
        name: "release builds",
        run: release_builds,
    },
];

const CLIPPY_ALL_FEATURES: [&str; 8] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--all-features",
    "--locked",
    "--",
    "-D",
    "warnings",
];

/// How a step ended.
struct Done {
    name: &'static str,
    ok: bool,
    took: Duration,
}

/// Runs the steps; stops at the first failure unless told to keep going.
pub(crate) fn command(workspace: &Workspace, full: bool, keep_going: bool) -> Result<ExitCode> {
    let steps: Vec<&Step> = if full {
        STEPS.iter().chain(&FULL_STEPS).collect()
    } else {
        STEPS.iter().collect()
    };
    let mut done = Vec::new();
    let mut counts = None;
    for step in &steps {
        println!("ci: {}", step.name);
        let start = Instant::now();
        let result = (step.run)(workspace);
        let took = start.elapsed();
        let ok = result.as_ref().is_ok_and(|outcome| outcome.ok);
        match result {
            Ok(outcome) => counts = counts.or(outcome.counts),
            Err(error) => eprintln!("ci: {} failed: {error:#}", step.name),
        }
        println!(
            "ci: {} {} after {:.1} s",
            step.name,
            if ok { "done" } else { "FAILED" },
            took.as_secs_f64()
        );
        done.push(Done {
            name: step.name,
            ok,
            took,
        });
        if !ok && !keep_going {
            break;
        }
    }
    let left_out: Vec<&str> = steps
        .iter()
        .skip(done.len())
        .map(|step| step.name)
        .collect();
    print!("{}", table(&done, &left_out));
    test::print_counts(counts);
    Ok(if done.iter().all(|done| done.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn cargo(workspace: &Workspace, args: &[&str]) -> Result<Outcome> {
    process::run(workspace.cargo().args(args))?;
    Ok(Outcome::DONE)
}

/// With what the development environment compiles in: code that no default build sees is linted too.
fn clippy(workspace: &Workspace) -> Result<Outcome> {
    let development = Environment::load(workspace, environment::DEFAULT)?;
    let features = development.features.iter();
    let features: Vec<String> = features.map(|name| format!("cli/{name}")).collect();
    let features = features.join(",");
    cargo(
        workspace,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            &features,
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
}

fn docs(workspace: &Workspace) -> Result<Outcome> {
    let mut command = workspace.cargo();
    command
        .args(["doc", "--no-deps", "--workspace", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut command)?;
    Ok(Outcome::DONE)
}

/// Every environment as it would ship, each in the usual target directory, one after the other.
fn release_builds(workspace: &Workspace) -> Result<Outcome> {
    for environment in Environment::load_all(workspace)? {
        println!(
            "ci: release build of {}: {}",
            environment.name, environment.description
        );
        environment.build(workspace, true)?;
    }
    Ok(Outcome::DONE)
}

fn table(done: &[Done], left_out: &[&str]) -> String {
    let names = done
        .iter()
        .map(|done| done.name)
        .chain(left_out.iter().copied());
    let width = names.map(str::len).max().unwrap_or(0);
    let mut text = String::from("\n");
    for Done { name, ok, took } in done {
        let result = if *ok { "ok" } else { "FAILED" };
        text.push_str(&format!(
            "{name:width$}  {result:7}  {:7.1} s\n",
            took.as_secs_f64()
        ));
    }
    for name in left_out {
        text.push_str(&format!("{name:width$}  not run\n"));
    }
    let total: Duration = done.iter().map(|done| done.took).sum();
    text.push_str(&format!(
        "{:width$}  {:7}  {:7.1} s\n",
        "total",
        "",
        total.as_secs_f64()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_did_not_run() {
        let done = [
            Done {
                name: "fmt",
                ok: true,
                took: Duration::from_millis(1200),
            },
            Done {
                name: "clippy",
                ok: false,
                took: Duration::from_secs(20),
            },
        ];
        let expected = "
fmt     ok           1.2 s
clippy  FAILED      20.0 s
test    not run
total               21.2 s
";
        assert_eq!(table(&done, &["test"]), expected);
    }
}

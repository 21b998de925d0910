//! `cargo xtask`: the developer commands of the workspace.
//!
//! This file owns the flags and hands each command to the module of its name. xtask links light crates only and
//! depends on no member of the workspace; cargo, the product and the test programs are executed.

// A command-line tool: its terminal output is its result.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod ci;
mod environment;
mod features;
mod fuzz;
mod layers;
mod metadata;
mod migrate;
mod new_migration;
mod pg;
mod process;
mod reference;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Developer commands of Smart Support.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the product for an environment and runs `smart-support migrate ARGS`; without a source, on the fixture workbook
    Migrate {
        /// Environment of deploy/environments/ whose features to build
        #[arg(long, value_name = "NAME", default_value = environment::DEFAULT)]
        env: String,
        /// Arguments for `smart-support migrate`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Builds the product and runs `smart-support ARGS`
    Run {
        /// Environment of deploy/environments/ whose features to build
        #[arg(long, value_name = "NAME", default_value = environment::DEFAULT)]
        env: String,
        /// Arguments for `smart-support`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs every test of the workspace, with a PostgreSQL server; a skipped test fails
    Test {
        /// Where the server comes from: auto, url, system, debian, wheel, docker, several of them, all, or none
        #[arg(long, value_name = "PROVIDER", default_value = "auto")]
        pg: pg::Choice,
        /// Accepts changed snapshots
        #[arg(long)]
        update: bool,
        /// Arguments for the test runner, such as a name to filter by
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Checks what the compiler does not: layers, file sizes, feature gates, manifests, migrations, generated docs, texts
    Tidy {
        /// Records checksums of migrations that have none yet; a changed one stays a fault
        #[arg(long)]
        bless: bool,
        /// Leaves out the generated docs, for which the product must compile
        #[arg(long)]
        no_reference: bool,
    },
    /// Checks every environment and every feature alone, one package at a time
    Features,
    /// Writes docs/reference/ from the product's own declarations
    Docs,
    /// PostgreSQL servers with pgvector, for development
    Pg {
        #[command(subcommand)]
        command: pg::Command,
    },
    /// Starts the next migration, one file for each backend
    NewMigration {
        /// What it does, verb first: add_locator_column
        name: String,
    },
    /// Runs the benchmarks of the integration tests on a release build
    Bench {
        /// Arguments for the benchmark program, such as a name or `--json FILE`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Builds and runs the fuzz targets of fuzz/; new inputs stay under target/fuzz
    Fuzz {
        /// One of them: xlsx, csv, jsonl, settings or sqlite_open; all of them otherwise
        target: Option<String>,
        /// How long each runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Arguments for libFuzzer, such as `-jobs=2`
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Kills, starves and lies to the product again and again, and asks what is left: nothing lost, nothing paid twice
    Torture {
        /// A release build and 1,000 kills instead of 100
        #[arg(long)]
        release: bool,
        /// Arguments for the program, such as `--rounds N`, `--only PART`, `--seed N`, `--round N`, `--json`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Serves for minutes while rows change and questions are asked, and fails when anything grows
    Soak {
        /// Arguments for the program: `--minutes N`, `--every SECONDS`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Writes the generated workbooks of fixtures/ anew
    Fixtures {
        /// Arguments for the fixture program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs exactly what CI runs
    Ci {
        /// Adds what a release needs
        #[arg(long)]
        full: bool,
        /// Runs the remaining steps after one has failed
        #[arg(long)]
        keep_going: bool,
    },
}

fn main() -> ExitCode {
    // Usage faults leave with 2 inside `parse`; what fails afterwards with 1; a child's own code is passed through.
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Migrate { env, args } => migrate::migrate(&workspace, &env, args),
        Command::Run { env, args } => migrate::run(&workspace, &env, args),
        Command::Test { pg, update, args } => test::command(&workspace, &pg, update, &args),
        Command::Pg { command } => pg::command(&workspace, command),
        Command::Tidy {
            bless,
            no_reference,
        } => tidy::command(
            &workspace,
            &tidy::Options {
                bless,
                no_reference,
            },
        ),
        Command::Features => features::command(&workspace),
        Command::Docs => reference::write(&workspace),
        Command::NewMigration { name } => new_migration::command(&workspace, &name),
        Command::Bench { args } => bench::bench(&workspace, &args),
        Command::Torture { release, args } => torture::command(&workspace, release, &args),
        Command::Fuzz {
            target,
            seconds,
            args,
        } => fuzz::command(&workspace, target.as_deref(), seconds, &args),
        Command::Soak { args } => bench::soak(&workspace, &args),
        Command::Fixtures { args } => bench::fixtures(&workspace, &args),
        Command::Ci { full, keep_going } => ci::command(&workspace, full, keep_going),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        Cli::try_parse_from(std::iter::once("cargo xtask").chain(line.split_whitespace()))
            .unwrap()
            .command
    }

    #[test]
    fn flags_are_declared_consistently() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn migrate_passes_what_is_not_its_own() {
        let cases = [
            ("migrate", "dev", ""),
            ("migrate --env single-node", "single-node", ""),
            (
                "migrate --dry-run -n --batch-size 8",
                "dev",
                "--dry-run -n --batch-size 8",
            ),
            (
                "migrate --env single-node --store sqlite:x.db",
                "single-node",
                "--store sqlite:x.db",
            ),
            ("migrate -- --help", "dev", "--help"),
            (
                "migrate --env dev -- --env-file x --json",
                "dev",
                "--env-file x --json",
            ),
            ("migrate --env-file x", "dev", "--env-file x"),
        ];
        for (line, expected_env, expected_args) in cases {
            let Command::Migrate { env, args } = parse(line) else {
                panic!("{line}")
            };
            let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
            assert_eq!(
                (env.as_str(), args.join(" ").as_str()),
                (expected_env, expected_args),
                "{line}"
            );
        }
    }

    #[test]
    fn test_passes_filters_on() {
        let Command::Test { pg, update, args } = parse("test --update -p storage-core plan") else {
            panic!()
        };
        assert!(update);
        assert_eq!(pg, pg::Choice::Auto);
        assert_eq!(args, ["-p", "storage-core", "plan"]);
        let Command::Test { pg, args, .. } = parse("test --pg all -p storage-core --pg x") else {
            panic!()
        };
        assert_eq!(pg, pg::Choice::all());
        assert_eq!(args, ["-p", "storage-core", "--pg", "x"]);
    }
}

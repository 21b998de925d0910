//! Owns `cargo xtask pg`: servers for development, which stay until they are told to go, one of each provider for a
//! checkout.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use postgres_harness::{
    Certificates, Cluster, Durability, Options, Programs, RunDirectory, SUPERUSER, TEMPLATE,
    TestServer, Tie,
};

use super::cache::Cache;
use super::{Choice, Provider, certificates, checkout_name, describe, options};
use crate::process;
use crate::workspace::Workspace;

/// The file that says which programs a server was started with: others may be chosen by now.
const PROGRAMS: &str = "programs";
/// The database that development servers have.
const DATABASE: &str = "smart_support";

/// What to do with servers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a server that stays, and prints the variables that name it; its data stays too
    Up {
        /// Where it comes from: auto, system, debian or wheel
        #[arg(long, value_name = "PROVIDER", default_value = "auto")]
        pg: Choice,
    },
    /// Stops the servers of this checkout
    Down {
        /// Only this one's
        #[arg(long, value_name = "PROVIDER", default_value = "auto")]
        pg: Choice,
        /// Removes their data as well
        #[arg(long)]
        delete: bool,
    },
    /// Opens psql on the server that is up
    Psql {
        /// Which, if several are up
        #[arg(long, value_name = "PROVIDER", default_value = "auto")]
        pg: Choice,
        /// Arguments for psql
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs a command with a fresh server, the same that tests get, and removes it afterwards
    Run {
        /// Where it comes from: auto, url, system, debian, wheel or docker
        #[arg(long, value_name = "PROVIDER", default_value = "auto")]
        pg: Choice,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Does it.
pub(crate) fn command(workspace: &Workspace, command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { pg } => up(workspace, &pg),
        Command::Down { pg, delete } => down(workspace, &pg, delete),
        Command::Psql { pg, args } => psql(workspace, &pg, &args),
        Command::Run { pg, command } => run(workspace, &pg, &command),
    }
}

/// A server of this checkout, running or not.
struct Development {
    provider: Provider,
    directory: PathBuf,
    programs: Programs,
}

impl Development {
    fn new(workspace: &Workspace, cache: &Cache, provider: Provider, programs: Programs) -> Self {
        Self {
            provider,
            directory: Self::directory(workspace, cache, provider),
            programs,
        }
    }

    /// Those that were ever up, with the programs that they were last started with.
    fn all(workspace: &Workspace, cache: &Cache, choice: &Choice) -> Vec<Self> {
        [Provider::System, Provider::Debian, Provider::Wheel]
            .into_iter()
            .filter(|provider| match choice {
                Choice::These(chosen) => chosen.contains(provider),
                Choice::Auto | Choice::None => true,
            })
            .filter_map(|provider| {
                let directory = Self::directory(workspace, cache, provider);
                let text = std::fs::read_to_string(directory.join(PROGRAMS)).ok()?;
                let mut lines = text.lines();
                let programs = Programs {
                    bin: lines.next()?.into(),
                    libraries: lines.next().map(OsString::from),
                };
                Some(Self {
                    provider,
                    directory,
                    programs,
                })
            })
            .filter(Self::exists)
            .collect()
    }

    fn directory(workspace: &Workspace, cache: &Cache, provider: Provider) -> PathBuf {
        cache.path(&format!(
            "development-{}-{}",
            checkout_name(workspace.root()),
            provider.name()
        ))
    }

    fn remember_programs(&self) -> Result<()> {
        let mut text = self.programs.bin.to_string_lossy().into_owned();
        if let Some(libraries) = &self.programs.libraries {
            text.push('\n');
            text.push_str(&libraries.to_string_lossy());
        }
        let file = self.directory.join(PROGRAMS);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// The port is the last that is written: without it, whoever made the cluster was stopped half way.
    fn exists(&self) -> bool {
        self.directory.join("port").is_file()
    }

    fn open(&self) -> Result<Cluster> {
        Cluster::open(
            &self.programs,
            RunDirectory::lasting(&self.directory)?,
            Tie::Free,
        )
    }

    fn remove(&self) -> Result<()> {
        if self.directory.exists() {
            std::fs::remove_dir_all(&self.directory)
                .with_context(|| format!("cannot remove {}", self.directory.display()))?;
        }
        Ok(())
    }
}

fn up(workspace: &Workspace, choice: &Choice) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let _lock = cache.lock("development")?;
    if *choice == Choice::Auto
        && let Some((_, cluster)) = running(workspace, &cache, choice)?.into_iter().next()
    {
        return announce(workspace, &cache, &cluster, "is up already");
    }
    let (provider, programs) = programs(choice, &cache)?;
    let development = Development::new(workspace, &cache, provider, programs);
    if development.exists() {
        let mut cluster = development.open()?;
        if cluster.running().is_some() {
            return announce(workspace, &cache, &cluster, "is up already");
        }
        development.remember_programs()?;
        cluster
            .start_as_before()
            .context("cargo xtask pg down --delete removes its data")?;
        return announce(workspace, &cache, &cluster, "is up again");
    }
    development.remove()?;
    let options = Options {
        durability: Durability::Full,
        tie: Tie::Free,
        ..options(workspace, &cache, &development.programs)?
    };
    let directory = RunDirectory::lasting(&development.directory)?;
    let mut cluster = Cluster::create(&development.programs, &options, directory)?;
    cluster.run_statements(
        "postgres",
        &format!("create database {DATABASE} template {TEMPLATE};\n"),
    )?;
    development.remember_programs()?;
    cluster.start_anywhere()?;
    announce(workspace, &cache, &cluster, "is up")
}

/// Programs that can be run here; a server that runs elsewhere is not ours to start or stop.
fn programs(choice: &Choice, cache: &Cache) -> Result<(Provider, Programs)> {
    let prepared = match choice {
        Choice::Auto => super::automatic(
            &[Provider::System, Provider::Debian, Provider::Wheel],
            cache,
        )?,
        Choice::These(providers) => match providers.as_slice() {
            [provider] => super::prepare_one(*provider, cache)
                .map_err(|error| super::no_server(&[(*provider, error)]))?,
            _ => bail!("say one provider: one server is started at a time"),
        },
        Choice::None => bail!("--pg none starts no server"),
    };
    let programs = prepared.programs.with_context(|| {
        format!(
            "--pg {} is a server that is not ours to start; choose system, debian or wheel",
            prepared.provider.name()
        )
    })?;
    Ok((prepared.provider, programs))
}

/// Variables on stdout, to be evaluated by a shell; what people read on stderr.
fn announce(
    workspace: &Workspace,
    cache: &Cache,
    cluster: &Cluster,
    how: &str,
) -> Result<ExitCode> {
    let tls = cluster.programs().facts()?.tls;
    let certificates: Option<Certificates> =
        tls.then(|| certificates(workspace, cache)).transpose()?;
    let server = describe(cluster, certificates, SUPERUSER)?;
    let TestServer {
        version,
        pgvector_version,
        ..
    } = &server;
    let url = cluster.url(SUPERUSER, DATABASE);
    eprintln!(
        "PostgreSQL {version} with pgvector {pgvector_version} {how}; its log is {}",
        cluster.log().display()
    );
    eprintln!("psql: cargo xtask pg psql, or psql '{url}'");
    eprintln!("stop: cargo xtask pg down");
    println!("export DATABASE_URL='{url}'");
    for (name, value) in server.variables() {
        println!("export {name}='{}'", value.to_string_lossy());
    }
    Ok(ExitCode::SUCCESS)
}

fn running(
    workspace: &Workspace,
    cache: &Cache,
    choice: &Choice,
) -> Result<Vec<(Development, Cluster)>> {
    let mut found = Vec::new();
    for development in Development::all(workspace, cache, choice) {
        let cluster = development.open()?;
        if cluster.running().is_some() {
            found.push((development, cluster));
        }
    }
    Ok(found)
}

fn down(workspace: &Workspace, choice: &Choice, delete: bool) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let _lock = cache.lock("development")?;
    let all = Development::all(workspace, &cache, choice);
    let mut done = 0;
    for development in &all {
        let cluster = development.open()?;
        if cluster.running().is_some() {
            cluster.stop_running()?;
            eprintln!("the server of {} is stopped", development.provider.name());
            done += 1;
        }
        if delete {
            development.remove()?;
            eprintln!("the data of {} is removed", development.provider.name());
            done += 1;
        }
    }
    if done == 0 {
        eprintln!("no server of this checkout is up");
    }
    Ok(ExitCode::SUCCESS)
}

fn psql(workspace: &Workspace, choice: &Choice, args: &[OsString]) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let mut running = running(workspace, &cache, choice)?;
    let names: Vec<&str> = running
        .iter()
        .map(|(development, _)| development.provider.name())
        .collect();
    if names.len() > 1 {
        bail!(
            "several servers are up: say --pg with one of {}",
            names.join(", ")
        );
    }
    let Some((_, cluster)) = running.pop() else {
        bail!("no server of this checkout is up; start one with cargo xtask pg up");
    };
    let mut psql = cluster.programs().psql().with_context(|| {
        format!(
            "there is no psql that runs in {}; any other will do: psql '{}'",
            cluster.programs().bin.display(),
            cluster.url(SUPERUSER, DATABASE)
        )
    })?;
    psql.arg(cluster.url(SUPERUSER, DATABASE)).args(args);
    process::become_program(psql)
}

fn run(workspace: &Workspace, choice: &Choice, words: &[OsString]) -> Result<ExitCode> {
    let [prepared] = &super::prepare(choice)?[..] else {
        bail!("say one provider: the command runs with one server");
    };
    let server = prepared.start(workspace)?;
    let [program, args @ ..] = words else {
        bail!("say which command to run");
    };
    let mut command = std::process::Command::new(program);
    command.args(args).envs(server.variables());
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
    if !status.success() {
        server.keep_log(workspace);
    }
    // As a shell says it: 128 and the signal.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

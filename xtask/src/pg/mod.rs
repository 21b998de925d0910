//! Owns the PostgreSQL servers of tests and development: which provider has one, and the variables by which tests find
//! it. What a cluster is, and how it lives and ends, is in the crate `postgres-harness`.

mod cache;
mod choice;
mod debian;
mod develop;
mod interrupt;
mod pgbouncer;
mod remote;
mod smoke;
mod system;
mod wheel;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use postgres_harness::{
    Certificates, Cluster, Options, Programs, SUPERUSER, Shutdown, TEMPLATE, TestServer,
};

use choice::PROVIDERS;
pub(crate) use choice::{Choice, Provider};
pub(crate) use develop::{Command, command};
pub(crate) use interrupt::interrupted;
pub(crate) use remote::URL_VARIABLE;

use crate::process;
use crate::workspace::Workspace;
use cache::Cache;

/// A server that could be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    provider: Provider,
    /// None where the server is not ours to start from programs.
    programs: Option<Programs>,
}

/// A server that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    provider: Provider,
    facts: TestServer,
    /// What has to go with it.
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    Nothing,
    Cluster(Box<Cluster>),
    Container {
        #[allow(dead_code, reason = "it is there to be dropped")]
        container: remote::Container,
    },
}

/// Finds out where the chosen servers can come from, and fetches or builds what is missing.
///
/// # Errors
///
/// With every provider's own reason, where none can serve (`auto`) or not all can (a list).
pub(crate) fn prepare(choice: &Choice) -> Result<Vec<Prepared>> {
    match choice {
        Choice::None => Ok(Vec::new()),
        Choice::Auto => Ok(vec![automatic(&PROVIDERS, &Cache::open()?)?]),
        Choice::These(providers) => {
            let cache = Cache::open()?;
            let (mut found, mut reasons) = (Vec::new(), Vec::new());
            for provider in providers {
                match prepare_one(*provider, &cache) {
                    Ok(prepared) => found.push(prepared),
                    Err(error) => reasons.push((*provider, error)),
                }
            }
            if reasons.is_empty() {
                Ok(found)
            } else {
                Err(no_server(&reasons))
            }
        }
    }
}

/// The first of these that works, in the order given, except that what was fetched or built before comes first.
fn automatic(providers: &[Provider], cache: &Cache) -> Result<Prepared> {
    // A server that somebody named is taken or complained about, never passed over.
    if providers.contains(&Provider::Url)
        && let Ok(prepared) = prepare_one(Provider::Url, cache)
    {
        return Ok(prepared);
    }
    let cached = [
        (Provider::Debian, debian::cached(cache)),
        (Provider::Wheel, wheel::cached(cache)),
    ];
    for (provider, programs) in cached {
        if programs.is_some() {
            return Ok(Prepared { provider, programs });
        }
    }
    let mut reasons = Vec::new();
    for provider in providers {
        match prepare_one(*provider, cache) {
            Ok(prepared) => return Ok(prepared),
            Err(error) => {
                eprintln!("pg: not {}: {error:#}", provider.name());
                reasons.push((*provider, error));
            }
        }
    }
    Err(no_server(&reasons))
}

fn prepare_one(provider: Provider, cache: &Cache) -> Result<Prepared> {
    let programs = match provider {
        Provider::Url => {
            if std::env::var_os(URL_VARIABLE).is_none_or(|url| url.is_empty()) {
                bail!("{} is not set", URL_VARIABLE);
            }
            None
        }
        Provider::System => {
            let programs = system::programs()?;
            smoke::test(&programs)?;
            Some(programs)
        }
        Provider::Debian => Some(debian::programs_of(cache)?),
        Provider::Wheel => Some(wheel::programs_of(cache)?),
        Provider::Docker => {
            remote::docker_works()?;
            None
        }
    };
    Ok(Prepared { provider, programs })
}

fn no_server(reasons: &[(Provider, anyhow::Error)]) -> anyhow::Error {
    let mut text = String::from("there is no PostgreSQL server for tests");
    for (provider, error) in reasons {
        text.push_str(&format!("\n  {}: {error:#}", provider.name()));
    }
    text.push_str(
        "\nname a server by TEST_DATABASE_URL, install one with pgvector, or leave its tests out with --pg none",
    );
    anyhow::anyhow!(text)
}

impl Prepared {
    pub(crate) fn name(&self) -> &'static str {
        self.provider.name()
    }

    /// Starts it, and says so.
    pub(crate) fn start(&self, workspace: &Workspace) -> Result<Server> {
        interrupt::defer().context("cannot watch for Ctrl-C")?;
        let mut server = match &self.programs {
            Some(programs) => {
                let cache = Cache::open()?;
                let options = options(workspace, &cache, programs)?;
                let cluster = Cluster::start(programs, &options)?;
                Server {
                    provider: self.provider,
                    facts: describe(&cluster, options.certificates, SUPERUSER)?,
                    hold: Hold::Cluster(Box::new(cluster)),
                }
            }
            None => {
                let (mut facts, hold) = if self.provider == Provider::Docker {
                    let (facts, container) = remote::docker(workspace)?;
                    (facts, Hold::Container { container })
                } else {
                    (remote::url(workspace)?, Hold::Nothing)
                };
                facts.programs = facts.programs.or_else(any_programs);
                Server {
                    provider: self.provider,
                    facts,
                    hold,
                }
            }
        };
        server.facts.pgbouncer = match pgbouncer::program(&Cache::open()?) {
            Ok(program) => Ok(program),
            // Where its server comes from, it comes from.
            Err(error) if self.provider == Provider::Debian => return Err(error),
            Err(error) => {
                eprintln!("pg: no pgbouncer, its tests skip themselves: {error:#}");
                Err(format!("{error:#}"))
            }
        };
        let TestServer {
            version,
            pgvector_version,
            certificates,
            ..
        } = &server.facts;
        let tls = if certificates.is_some() {
            "with"
        } else {
            "without"
        };
        eprintln!(
            "pg: PostgreSQL {version}, pgvector {pgvector_version}, {tls} TLS, from {}",
            self.name()
        );
        Ok(server)
    }
}

impl Server {
    /// What tests are told.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        self.facts.variables()
    }

    /// Whether tests that kill or copy servers can have programs to start them from.
    pub(crate) fn has_programs(&self) -> bool {
        self.facts.programs.is_some()
    }

    /// Keeps what the server wrote, for whoever looks into a failure.
    pub(crate) fn keep_log(&self, workspace: &Workspace) {
        let Hold::Cluster(cluster) = &self.hold else {
            return;
        };
        let directory = workspace.path("target/pg-logs");
        let name = format!("{}-{}.log", self.provider.name(), std::process::id());
        let kept = directory.join(name);
        let copied = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::copy(cluster.log(), &kept).map(drop));
        match copied {
            Ok(()) => eprintln!("pg: the server's log is {}", kept.display()),
            Err(error) => eprintln!("pg: cannot keep the server's log: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Hold::Cluster(cluster) = &mut self.hold
            && let Err(error) = cluster.stop(Shutdown::Fast)
        {
            eprintln!("pg: {error:#}");
        }
    }
}

/// How servers of tests are: with TLS where the programs know it.
fn options(workspace: &Workspace, cache: &Cache, programs: &Programs) -> Result<Options> {
    let certificates = if programs.facts()?.tls {
        Some(certificates(workspace, cache)?)
    } else {
        None
    };
    Ok(Options {
        certificates,
        ..Options::default()
    })
}

/// Made once. The program that makes them is executed: xtask links no cryptography.
fn certificates(workspace: &Workspace, cache: &Cache) -> Result<Certificates> {
    const RECIPE: &str =
        include_str!("../../../crates/postgres-harness/src/bin/make-certificates.rs");
    let directory = cache.find_or_build("certificates", RECIPE, |directory| {
        let mut cargo = workspace.cargo();
        cargo.args(["run", "--quiet", "-p", "postgres-harness"]);
        cargo.args([
            "--features",
            "certificates",
            "--bin",
            "make-certificates",
            "--",
        ]);
        process::run(cargo.arg(directory))
    })?;
    Ok(Certificates::new(&directory))
}

fn describe(
    cluster: &Cluster,
    certificates: Option<Certificates>,
    role: &str,
) -> Result<TestServer> {
    let facts = cluster.programs().facts()?;
    Ok(TestServer {
        url: cluster.url(role, "postgres"),
        version: facts.postgres,
        pgvector_version: facts.pgvector,
        certificates,
        template: Some(TEMPLATE.to_owned()),
        sockets: cluster.sockets(),
        programs: Some(cluster.programs().clone()),
        pgbouncer: Err(String::new()),
    })
}

/// Programs for tests that start servers of their own beside one whose programs we have not.
fn any_programs() -> Option<Programs> {
    let cache = Cache::open().ok()?;
    debian::cached(&cache)
        .or_else(|| wheel::cached(&cache))
        .or_else(|| system::programs().ok())
        .or_else(|| debian::programs_of(&cache).ok())
        .or_else(|| wheel::programs_of(&cache).ok())
}

/// Where a checkout's own servers are, by its path.
fn checkout_name(root: &Path) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

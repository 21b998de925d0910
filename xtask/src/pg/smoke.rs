//! Asks new programs once whether they are what they seem: a cluster, pgvector in it, and a search through its index.

use anyhow::{Context as _, Result, bail};
use postgres_harness::{Cluster, Options, Programs, Shutdown, TEMPLATE};

const STATEMENTS: &str = "\
create table smoke (id int, v vector(3));
insert into smoke select i, array[i, 1, 0]::vector from generate_series(1, 200) i;
create index on smoke using hnsw (v vector_cosine_ops);
set enable_seqscan = off;
select id as nearest from smoke order by v <=> '[1,1,0]' limit 1;
";

/// Fails with what they said.
pub(super) fn test(programs: &Programs) -> Result<()> {
    let facts = programs.facts()?;
    let mut cluster = Cluster::start(programs, &Options::default())
        .context("the server's programs do not work here")?;
    cluster.stop(Shutdown::Fast)?;
    let said = cluster
        .run_statements(TEMPLATE, STATEMENTS)
        .context("pgvector does not work here")?;
    drop(cluster);
    if !said.contains("nearest = \"1\"") {
        bail!("pgvector {} finds the wrong row: {said}", facts.pgvector);
    }
    Ok(())
}

//! `seed`: the goals that the first version of this system was designed to, on data of its size.

use std::time::Duration;

use anyhow::Result;
use embedder_client::testing::StubApi;

use crate::bench::data::{templates, write_jsonl};
use crate::bench::figure::Figure;
use crate::bench::measure::median;
use crate::bench::product::{Product, Provider, disk_bytes};

const DIMENSIONS: usize = 1024;
const WORDS: usize = 40;
const REPEATS: usize = 5;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let (mut updates, mut starts, mut sizes) = (vec![], vec![], vec![]);
    for _ in 0..REPEATS {
        let directory = tempfile::tempdir()?;
        let (source, store) = (
            directory.path().join("faq.jsonl"),
            directory.path().join("s.db"),
        );
        let api = StubApi::start(DIMENSIONS, Duration::from_millis(400));
        let provider = Provider::Api(api.url());
        let args =
            |command: &'static str| [command.as_ref(), "--faq-path".as_ref(), source.as_os_str()];
        let rows = templates(211, WORDS);
        write_jsonl(&source, &rows[..201])?;
        product.run(&store, &provider, args("migrate"))?;
        sizes.push(disk_bytes(&store)? / 1e6);
        let asked = product.run(&store, &provider, ["search", "как закрыть вклад"])?;
        starts.push(asked.wall_ms / 1e3);
        write_jsonl(&source, &rows)?;
        updates.push(product.run(&store, &provider, args("sync"))?.wall_ms / 1e3);
    }
    Ok(vec![
        Figure::new(
            "seed",
            "10 new templates, API of 400 ms: wall",
            "s",
            median(updates),
        )
        .beside("the seed's report, not measured here", 2.6)
        .at_most(5.0),
        Figure::new("seed", "201 x 1024: size of the store", "MB", median(sizes))
            .beside("the seed's report, not measured here", 1.1)
            .at_most(10.0),
        Figure::new(
            "seed",
            "start to the first answer, API of 400 ms: wall",
            "s",
            median(starts),
        )
        .beside("the seed embedding at every start, by its report", 9.0)
        .at_most(2.0),
    ])
}

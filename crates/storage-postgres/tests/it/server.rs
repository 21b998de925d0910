//! The server that tests run on, and stores of their own in it.

use std::sync::atomic::{AtomicU32, Ordering};

use storage_postgres::PostgresOptions;

/// The server's URL; without one the test is skipped, loudly, and where skips are forbidden it fails.
pub(crate) fn url() -> Option<String> {
    let url = std::env::var("TEST_DATABASE_URL")
        .ok()
        .filter(|url| !url.is_empty());
    if url.is_none() {
        skip("TEST_DATABASE_URL names no PostgreSQL with pgvector");
    }
    url
}

#[allow(clippy::print_stderr, reason = "a skip is loud")]
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("SMART_SUPPORT_FORBID_SKIPS").is_none_or(|value| value.is_empty()),
        "a test would skip itself, and SMART_SUPPORT_FORBID_SKIPS forbids that: {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// A schema that no other test has; it is dropped with this value.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) options: PostgresOptions,
    pub(crate) name: String,
    url: String,
}

impl Schema {
    /// Names one, without creating it. Panics without a server: ask [`url`] before.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let url = url().expect("a server is named");
        // A name that has to be quoted.
        let name = format!(
            "Test-Хранилище-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let options = PostgresOptions::parse(&url)
            .and_then(|options| options.with_schema(&name))
            .unwrap()
            .with_pool_size(3)
            .with_writer("a test");
        Self { options, name, url }
    }

    /// Runs SQL beside the store, as somebody with psql does.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .unwrap();
        let task = tokio::spawn(connection);
        let path = format!("SET search_path = {}, public", self.quoted());
        client.batch_execute(&path).await.unwrap();
        let answer = client.simple_query(sql).await.unwrap();
        drop(client);
        task.await.unwrap().unwrap();
        texts(&answer)
    }

    fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }
}

/// The rows of an answer.
pub(crate) fn texts(answer: &[tokio_postgres::SimpleQueryMessage]) -> Vec<Vec<Option<String>>> {
    let rows = answer.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).map(str::to_owned))
                .collect(),
        ),
        _ => None,
    });
    rows.collect()
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop_it = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.quoted());
        let url = self.url.clone();
        // A runtime of its own: a test's may be the one that is going away.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
                tokio::spawn(connection);
                client.batch_execute(&drop_it).await
            })
        });
        if !std::thread::panicking() {
            dropped.join().unwrap().unwrap();
        }
    }
}

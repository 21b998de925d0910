//! `postgres`: loading, planning, changing and reading a store on a server, each beside the plainest SQL that moves the
//! same rows, in the same run and on the same server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, pin_mut};
use integration_tests::postgres::TestDatabase;
use storage_core::testing::fixture::{
    Made, binding, document, faq, model, run as run_id, sheet, source, stored_vector, unpaid,
    version_of,
};
use storage_core::{
    ChangeSet, Document, EmbeddingStore, Filter, Generation, Row, Timestamp, UndoPolicy,
};
use storage_postgres::{PostgresOptions, PostgresStore, SslMode};
use tokio_postgres::Client;

use crate::bench::figure::Figure;
use crate::bench::measure::{mean_cpu_ms, median};
use crate::bench::product::{Product, Provider};

const BENCH: &str = "postgres";
/// What is loaded and read: 400 MB would measure the disk of a shared machine.
const ROWS: usize = 20_000;
const DIMENSIONS: u32 = 1_024;
const BATCH: usize = 1_000;
const ROUNDS: usize = 3;
/// What is planned, and what is changed of how many. Short vectors: a plan reads none, and a change few.
const UNCHANGED: usize = 10_000;
const MANY: usize = 100_000;
const CHANGED: usize = 1_000;
const SHORT: u32 = 64;
const STARTS: u32 = 20;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let Some(database) = TestDatabase::create() else {
        let why = "no server: cargo xtask pg run -- cargo xtask bench postgres";
        return Ok(vec![Figure::skipped(BENCH, "everything", why)]);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut figures = runtime.block_on(rows(&database))?;
    figures.extend(runtime.block_on(changes(&database))?);
    figures.push(start(product, &database)?);
    Ok(figures)
}

fn texts(count: usize) -> Vec<Document> {
    (0..count)
        .map(|number| {
            let mut text = document(
                &format!("entry-{number:06}"),
                &format!("Как заблокировать карту номер {number}, если телефон потерян?"),
                &"Откройте приложение, выберите карту и нажмите «Заблокировать». ".repeat(4),
            );
            text.category = Some(format!("Категория {}", number % 12));
            text
        })
        .collect()
}

fn change(base: u64, rows: Vec<Row>, version: &Made) -> ChangeSet {
    ChangeSet {
        collection: faq(),
        base: Generation(base),
        source: Some(source(&faq(), sheet().as_str())),
        upserts: rows,
        deletes: Vec::new(),
        relocations: Vec::new(),
        binds: Vec::new(),
        register: Some(version.spec.clone()),
        complete: None,
        activate: Some(version.id.clone()),
        undo: UndoPolicy::Forget,
        run: run_id("bench"),
        applied_at: Timestamp(2),
    }
}

async fn open(database: &TestDatabase, schema: &str) -> Result<PostgresStore> {
    let options = PostgresOptions::parse(&database.url())?
        .with_schema(schema)?
        // As the peer, who has no TLS.
        .with_ssl_mode(SslMode::Disable)
        .with_wait(Duration::from_secs(60))
        .with_writer("bench");
    Ok(storage_postgres::create_or_open(&options).await?)
}

async fn client(database: &TestDatabase, schema: &str) -> Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(&format!("SET search_path = {schema}, public"))
        .await?;
    Ok(client)
}

/// Stores every vector and every row, as a first sync does, and says how long it took in ms.
async fn fill(store: &PostgresStore, version: &Made, documents: &[Document]) -> Result<f64> {
    store.register_space(&version.space).await?;
    let mut vectors = documents
        .chunks(BATCH)
        .map(|batch| {
            batch
                .iter()
                .map(|document| stored_vector(version, document))
                .collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    let rows = documents
        .iter()
        .map(|document| Row::new(document.clone(), vec![binding(version, document)]))
        .collect();
    let changes = change(0, rows, version);
    let begun = Instant::now();
    for batch in vectors.drain(..) {
        store
            .put_embeddings(&batch, &unpaid("bench"), Timestamp(1))
            .await?;
    }
    store.apply(changes).await?;
    Ok(milliseconds(begun))
}

const TABLES: [&str; 3] = ["embedding_vectors", "embedding_records", "record_inputs"];

/// What `LIKE` leaves out: without them it would not be the same tables.
const REFERENCES: &str = "ALTER TABLE raw_record_inputs \
    ADD FOREIGN KEY (record_id) REFERENCES raw_embedding_records ON DELETE CASCADE, \
    ADD FOREIGN KEY (vector_id) REFERENCES raw_embedding_vectors";

/// A first load, and reading it back, beside COPY of the same bytes.
async fn rows(database: &TestDatabase) -> Result<Vec<Figure>> {
    let documents = texts(ROWS);
    let version = version_of(model("bench", DIMENSIONS), "");
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    let (mut read, mut raw_read) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let schema = format!("load{round}");
        let store = open(database, &schema).await?;
        ours.push(fill(&store, &version, &documents).await?);
        let client = client(database, &schema).await?;
        let mut bytes = Vec::new();
        for table in TABLES {
            let sql = format!("COPY {table} TO STDOUT (FORMAT binary)");
            bytes.push(client.copy_out(&sql).await?.try_collect::<Vec<_>>().await?);
            client
                .batch_execute(&format!(
                    "CREATE TABLE raw_{table} (LIKE {table} INCLUDING ALL)"
                ))
                .await?;
        }
        client.batch_execute(REFERENCES).await?;
        let begun = Instant::now();
        client.batch_execute("BEGIN").await?;
        for (table, bytes) in TABLES.iter().zip(bytes) {
            let sql = format!("COPY raw_{table} FROM STDIN (FORMAT binary)");
            let sink = client.copy_in(&sql).await?;
            pin_mut!(sink);
            for piece in bytes {
                sink.send(piece).await?;
            }
            sink.finish().await?;
        }
        client.batch_execute("COMMIT").await?;
        raw.push(milliseconds(begun));

        let begun = Instant::now();
        let mut found = 0;
        let scan = store.scan(&faq(), None, Filter::default());
        pin_mut!(scan);
        while let Some(record) = scan.next().await {
            record?;
            found += 1;
        }
        read.push(milliseconds(begun));
        anyhow::ensure!(found == ROWS, "{found} rows were read, {ROWS} were loaded");
        let sql = "COPY (SELECT r.document, r.chunk, r.source_id, r.category, r.title, r.body, r.metadata, v.embedding, \
                   v.guard FROM embedding_records AS r JOIN record_inputs AS i USING (record_id) \
                   JOIN embedding_vectors AS v USING (vector_id)) TO STDOUT (FORMAT binary)";
        let begun = Instant::now();
        let out = client.copy_out(sql).await?;
        pin_mut!(out);
        while let Some(piece) = out.next().await {
            piece?;
        }
        raw_read.push(milliseconds(begun));
        drop(store);
        client
            .batch_execute(&format!("DROP SCHEMA {schema} CASCADE"))
            .await?;
    }
    let speed = |ms: f64| ROWS as f64 / ms * 1_000.0;
    let (ours, raw) = (speed(median(ours)), speed(median(raw)));
    let (read, raw_read) = (speed(median(read)), speed(median(raw_read)));
    Ok(vec![
        Figure::new(
            BENCH,
            format!("first load of {ROWS} x {DIMENSIONS}"),
            "rows/s",
            ours,
        )
        .beside("COPY BINARY of the same bytes into the same tables", raw)
        .ratio_at_least(0.7),
        Figure::new(
            BENCH,
            format!("reading {ROWS} x {DIMENSIONS} into memory"),
            "rows/s",
            read,
        )
        .beside("COPY TO STDOUT BINARY of the same columns", raw_read)
        .ratio_at_least(0.6),
    ])
}

/// What a daily sync asks and writes, beside the same by hand.
async fn changes(database: &TestDatabase) -> Result<Vec<Figure>> {
    let version = version_of(model("bench", SHORT), "");
    let few = open(database, "few").await?;
    fill(&few, &version, &texts(UNCHANGED)).await?;
    let by_hand = client(database, "few").await?;
    let (mut plan, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..2 * ROUNDS + 1 {
        let begun = Instant::now();
        let found = few.fingerprints(&faq()).await?;
        plan.push(milliseconds(begun));
        anyhow::ensure!(found.1.len() == UNCHANGED, "a fingerprint is missing");
        let begun = Instant::now();
        let rows = by_hand
            .query_typed("SELECT document, record_hash FROM embedding_records", &[])
            .await?;
        let hashes: usize = rows.iter().map(|row| row.get::<_, &[u8]>(1).len()).sum();
        ids.push(milliseconds(begun));
        anyhow::ensure!(hashes == 32 * UNCHANGED, "a hash is missing");
    }
    drop(few);

    let many = open(database, "many").await?;
    let mut documents = texts(MANY);
    fill(&many, &version, &documents).await?;
    let by_hand = client(database, "many").await?;
    let (mut ours, mut hand) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let changed: Vec<Document> = documents
            .iter_mut()
            .skip(round)
            .step_by(MANY / CHANGED)
            .map(|document| {
                document.body = format!("{} ({round})", document.body);
                document.clone()
            })
            .collect();
        let vectors: Vec<_> = changed
            .iter()
            .map(|document| stored_vector(&version, document))
            .collect();
        let rows = changed
            .iter()
            .map(|document| Row::new(document.clone(), vec![binding(&version, document)]))
            .collect();
        let changes = change(
            many.status().await?.collections[0].generation.0,
            rows,
            &version,
        );
        many.put_embeddings(&vectors, &unpaid("bench"), Timestamp(3))
            .await?;
        let begun = Instant::now();
        many.apply(changes).await?;
        ours.push(milliseconds(begun));
        hand.push(by_hand_change(&by_hand, &changed).await?);
    }
    let (plan, ids) = (median(plan), median(ids));
    let (ours, hand) = (median(ours), median(hand));
    Ok(vec![
        Figure::new(
            BENCH,
            format!("what is known of {UNCHANGED} unchanged rows"),
            "ms",
            plan,
        )
        .beside("SELECT id, hash of the same rows", ids)
        .ratio_at_most(2.0),
        Figure::new(
            BENCH,
            format!("{CHANGED} of {MANY} rows changed in one transaction"),
            "ms",
            ours,
        )
        .beside("the same statements by hand", hand)
        .ratio_at_most(3.0),
    ])
}

/// The change as somebody would write it who knows the tables: texts and hashes over, references anew, counters up.
async fn by_hand_change(client: &Client, changed: &[Document]) -> Result<f64> {
    use tokio_postgres::types::Type;
    let ids: Vec<&str> = changed
        .iter()
        .map(|document| document.key.document.as_str())
        .collect();
    let bodies: Vec<String> = changed
        .iter()
        .map(|document| format!("{} by hand", document.body))
        .collect();
    let begun = Instant::now();
    client.batch_execute("BEGIN").await?;
    client
        .execute_typed(
            "UPDATE embedding_records AS r SET body = c.body, updated_at = 4 \
             FROM unnest($1::text[], $2::text[]) AS c (document, body) \
             WHERE r.collection_id = 1 AND r.document = c.document COLLATE \"C\" AND r.chunk = 0",
            &[(&ids, Type::TEXT_ARRAY), (&bodies, Type::TEXT_ARRAY)],
        )
        .await?;
    client
        .execute_typed(
            "WITH gone AS (DELETE FROM record_inputs AS i USING embedding_records AS r \
                 WHERE r.record_id = i.record_id AND r.collection_id = 1 AND r.document = ANY ($1) RETURNING i.*) \
             INSERT INTO record_inputs SELECT record_id, version_id, space_id, vector_id, input_hash, variant FROM gone",
            &[(&ids, Type::TEXT_ARRAY)],
        )
        .await
        .context("references by hand")?;
    client
        .batch_execute("UPDATE store_state SET generation = generation; COMMIT")
        .await?;
    Ok(milliseconds(begun))
}

/// From nothing to the first answer, as a person waits for it.
fn start(product: &Product, database: &TestDatabase) -> Result<Figure> {
    let directory = tempfile::tempdir()?;
    let source = directory.path().join("faq.jsonl");
    crate::bench::data::write_jsonl(&source, &crate::bench::data::templates(201, 22))?;
    let url = database.url();
    product.run_on(
        &url,
        &Provider::Hash,
        [
            "migrate".as_ref(),
            "--faq-path".as_ref(),
            source.as_os_str(),
        ],
    )?;
    let vector = directory.path().join("question.f32");
    let numbers: Vec<u8> = (0..DIMENSIONS)
        .flat_map(|number| ((number % 7) as f32 - 3.0).to_le_bytes())
        .collect();
    std::fs::write(&vector, numbers)?;
    let search = || {
        product
            .run_on(
                &url,
                &Provider::Hash,
                [
                    "search".as_ref(),
                    "--query-vector".as_ref(),
                    vector.as_os_str(),
                ],
            )
            .map(drop)
    };
    search()?;
    let cpu = mean_cpu_ms(STARTS, search)?;
    Ok(Figure::new(BENCH, "start to first answer at 201 rows: CPU", "ms", cpu).at_most(25.0))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1_000.0
}

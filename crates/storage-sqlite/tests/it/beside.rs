//! One process that reads a store for as long as it runs, and opens it again and again meanwhile.

use std::path::Path;

use futures_util::TryStreamExt;
use storage_core::testing::fixture::{documents, faq, fill, version};
use storage_core::{EmbeddingStore, Filter};
use storage_sqlite::{SqliteOptions, create_or_open, open, open_read_only, schema_status, watch};

async fn write(path: &Path, round: usize, rows: usize) {
    let mut documents = documents(rows);
    for document in &mut documents {
        document.body = format!("round {round}");
    }
    let store = open(&SqliteOptions::file(path)).unwrap();
    fill(&store, &version("one"), &documents).await;
}

/// The locks that this process has on a file, as the kernel counts them; `None` where it does not say.
#[cfg(target_os = "linux")]
fn locks(path: &Path) -> Option<usize> {
    use std::os::unix::fs::MetadataExt;
    let number = std::fs::metadata(path).unwrap().ino().to_string();
    let own = std::process::id().to_string();
    let all = std::fs::read_to_string("/proc/locks").ok()?;
    let is_ours = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&"POSIX")
            && fields.get(4) == Some(&own.as_str())
            && fields
                .get(5)
                .is_some_and(|file| file.rsplit(':').next() == Some(&number))
    };
    Some(all.lines().filter(is_ours).count())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn looking_at_a_store_gives_up_no_lock_of_its_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let index = directory.path().join("s.db-shm");
    let options = SqliteOptions::file(&path);
    drop(create_or_open(&options).unwrap());
    write(&path, 0, 300).await;
    let reader = open_read_only(&options.clone().staying()).unwrap();
    let mut scan = reader.scan(&faq(), None, Filter::default());
    scan.try_next().await.unwrap().unwrap();
    let (held, held_in_index) = (locks(&path), locks(&index));
    if held.is_none_or(|held| held == 0) {
        println!("SKIPPED: this kernel does not tell who holds a lock");
        return;
    }
    assert!(held_in_index > Some(0), "a scan reads without a lock");
    let steps: [(&str, &dyn Fn()); 3] = [
        ("a look at the schema", &|| {
            drop(schema_status(&options).unwrap())
        }),
        ("another reader", &|| {
            drop(open_read_only(&options).unwrap())
        }),
        ("a writer", &|| drop(open(&options).unwrap())),
    ];
    for (what, step) in steps {
        step();
        assert!(locks(&path) >= held, "{what} gave up a lock of the store");
        assert!(
            locks(&index) >= held_in_index,
            "{what} gave up a lock of the log"
        );
    }
    write(&path, 1, 300).await;
    assert!(locks(&path) >= held && locks(&index) >= held_in_index);
    // And what the scan began with is what it ends with.
    let rest: Vec<_> = scan.try_collect().await.unwrap();
    assert_eq!(rest.len(), 299);
    assert!(rest.iter().all(|row| row.document.body == "round 0"));
}

#[tokio::test]
async fn a_reader_that_stays_sees_whole_generations_beside_fifty_writers() {
    const ROWS: usize = 400;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    drop(create_or_open(&SqliteOptions::file(&path)).unwrap());
    write(&path, 0, ROWS).await;
    let reader = open_read_only(&SqliteOptions::file(&path).staying()).unwrap();
    let _watch = watch(
        SqliteOptions::file(&path),
        std::time::Duration::from_millis(1),
    );
    let writing = path.clone();
    let writer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for round in 1..=50 {
            runtime.block_on(write(&writing, round, ROWS));
        }
    });
    let mut last = String::new();
    let mut scans = 0;
    while !writer.is_finished() || scans == 0 {
        let rows: Vec<_> = reader
            .scan(&faq(), None, Filter::default())
            .try_collect()
            .await
            .unwrap();
        assert_eq!(rows.len(), ROWS);
        last.clone_from(&rows[0].document.body);
        assert!(
            rows.iter().all(|row| row.document.body == last),
            "two generations in one scan"
        );
        scans += 1;
    }
    writer.join().unwrap();
    let rows: Vec<_> = reader
        .scan(&faq(), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert!(
        rows.iter().all(|row| row.document.body == "round 50"),
        "{last}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_reader_that_stays_reads_what_it_may_not_write_beside() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    drop(create_or_open(&SqliteOptions::file(&path)).unwrap());
    write(&path, 0, 3).await;
    let mode = |mode| std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode));
    mode(0o500).unwrap();
    let reader = open_read_only(&SqliteOptions::file(&path).staying());
    let status = match reader {
        Ok(reader) => reader.status().await,
        Err(error) => Err(error),
    };
    mode(0o700).unwrap();
    assert_eq!(status.unwrap().collections[0].records, 3);
}

#[tokio::test]
async fn a_file_that_takes_the_stores_place_is_read_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("s.db"), directory.path().join("o.db"));
    for (path, rows) in [(&path, 3), (&other, 5)] {
        drop(create_or_open(&SqliteOptions::file(path)).unwrap());
        write(path, 0, rows).await;
    }
    let options = SqliteOptions::file(&path);
    let readers =
        [&options.clone(), &options.clone().staying()].map(|it| open_read_only(it).unwrap());
    for reader in &readers {
        assert_eq!(reader.status().await.unwrap().collections[0].records, 3);
    }
    storage_sqlite::restore(&options, &other, false, storage_core::Timestamp(1)).unwrap();
    for reader in &readers {
        assert_eq!(reader.status().await.unwrap().collections[0].records, 5);
    }
}

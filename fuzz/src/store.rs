//! Store files, opened the way a search and a validation open them: for reading only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use storage_core::{CollectionName, EmbeddingStore as _, Filter, Result};
use storage_sqlite::{Place, SqliteOptions};

/// Takes the bytes for a store's file, reads everything in it, and checks that not one byte changed.
pub fn sqlite_open(data: &[u8]) {
    let directory = tempfile::tempdir().expect("there is room for a temporary file");
    let path = directory.path().join("store.db");
    fs::write(&path, data).expect("the temporary directory can be written to");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing from outside");
    if let Err(error) = runtime.block_on(look(&path)) {
        assert!(!error.to_string().is_empty());
    }
    assert!(
        fs::read(&path).expect("the file is still there") == data,
        "reading the store changed it"
    );
}

async fn look(path: &Path) -> Result<()> {
    let options = SqliteOptions {
        place: Place::File(path.to_owned()),
        dimensions: None,
        // Nobody else has the file.
        busy_timeout: Duration::ZERO,
        writer: None,
        stays: false,
    };
    // Each of them may fail on its own, and none may keep the others from being tried.
    let _ = storage_sqlite::schema_status(&options);
    let store = storage_sqlite::open_read_only(&options)?;
    let mut collections = vec![CollectionName::new("faq").expect("the default name is a name")];
    if let Ok(status) = store.status().await {
        collections.extend(status.collections.into_iter().map(|found| found.name));
        collections.dedup();
    }
    for collection in &collections {
        let _ = store.fingerprints(collection).await;
        let _ = store.sources(collection).await;
        let _ = store.runs(collection, 10).await;
        let mut rows = store.scan(collection, None, Filter::default());
        while let Some(Ok(_)) = rows.next().await {}
    }
    let _ = store.bytes().await;
    let _ = store.cache_stats().await;
    store.check().await?;
    Ok(())
}

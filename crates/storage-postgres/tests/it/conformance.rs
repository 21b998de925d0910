//! The suite, in a schema of its own.

use async_trait::async_trait;
use storage_core::EmbeddingStore;
use storage_core::testing::Harness;
use storage_postgres::PostgresStore;

use crate::server::{self, Schema};

pub(crate) struct Postgres {
    store: Option<PostgresStore>,
    schema: Schema,
}

#[async_trait]
impl Harness for Postgres {
    fn is_available() -> bool {
        server::url().is_some()
    }

    async fn fresh() -> Self {
        let schema = Schema::new();
        let store = storage_postgres::create_or_open(&schema.options)
            .await
            .unwrap();
        Self {
            store: Some(store),
            schema,
        }
    }

    fn store(&self) -> &dyn EmbeddingStore {
        self.store.as_ref().unwrap()
    }

    async fn reopen(mut self) -> Self {
        drop(self.store.take());
        let store = storage_postgres::open(&self.schema.options).await.unwrap();
        self.store = Some(store);
        self
    }
}

storage_core::store_conformance!(Postgres);

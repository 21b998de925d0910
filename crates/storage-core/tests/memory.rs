//! The reference store under the suite every store passes.

use async_trait::async_trait;
use storage_core::testing::Harness;
use storage_core::{EmbeddingStore, MemoryStore, store_conformance};

struct Memory(MemoryStore);

#[async_trait]
impl Harness for Memory {
    async fn fresh() -> Self {
        Self(MemoryStore::new())
    }

    fn store(&self) -> &dyn EmbeddingStore {
        &self.0
    }

    async fn reopen(self) -> Self {
        self
    }
}

store_conformance!(Memory);

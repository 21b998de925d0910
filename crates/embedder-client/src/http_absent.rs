//! Providers over HTTP, in a build without them.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use storage_core::ModelSpec;

use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Pause, Purpose};

macro_rules! absent {
    ($(#[$doc:meta])* $type:ident, $provider:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $type(Infallible);

        impl $type {
            /// Says how to build with HTTP.
            ///
            /// # Errors
            /// Always `Unsupported`.
            pub fn new(_settings: HttpSettings) -> Result<Self, EmbedError> {
                Err(EmbedError::new(
                    EmbedErrorKind::Unsupported,
                    concat!(
                        "this build has no provider ", $provider, " (feature `http-embedder`); build it with: \
                         cargo build --release -p cli --features http-embedder"
                    ),
                ))
            }

            /// Cannot be called: there is no such provider.
            #[must_use]
            pub fn with_pause(self, _pause: Arc<dyn Pause>) -> Self {
                match self.0 {}
            }
        }

        #[async_trait]
        impl Embedder for $type {
            fn provider(&self) -> &'static str {
                match self.0 {}
            }

            fn spec(&self) -> &ModelSpec {
                match self.0 {}
            }

            fn limits(&self) -> BatchLimits {
                match self.0 {}
            }

            async fn embed(
                &self,
                _inputs: &[String],
                _purpose: Purpose,
                _meter: &Meter,
            ) -> Result<Embedded, EmbedError> {
                match self.0 {}
            }
        }
    };
}

absent!(
    /// The provider `openai`, which this build lacks.
    OpenAiEmbedder,
    "openai"
);
absent!(
    /// The provider `ollama`, which this build lacks.
    OllamaEmbedder,
    "ollama"
);

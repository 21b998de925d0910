//! The source: a table or query in a database that somebody knows how to reach.

use std::sync::Arc;
use std::thread;

use faq_source::{
    FaqSource, SourceError, SourceErrorKind, SourceLimits, SourceOptions, SourceSnapshot,
};

use crate::failure::Asked;
use crate::{Connect, Relation, reading};

/// The word for a snapshot's kind.
pub const KIND: &str = "postgres";

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// How the server is reached.
    pub connect: Arc<dyn Connect>,
    /// The table or query.
    pub relation: Relation,
    /// Field and column, as for files; `active` is a field here too.
    pub mapping: Vec<(String, String)>,
    /// Further columns that an embed-text recipe names: they must exist.
    pub required_columns: Vec<String>,
}

/// Rows of a table or query.
#[derive(Debug)]
pub struct CatalogSource {
    options: Arc<CatalogOptions>,
}

impl CatalogSource {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(options: CatalogOptions) -> Self {
        Self {
            options: Arc::new(options),
        }
    }
}

impl CatalogOptions {
    /// Where it is: server, database and table, never a password.
    pub(crate) fn location(&self) -> String {
        format!("{}, {}", self.connect.describe(), self.relation)
    }

    /// What the user said about columns, as the readers of files take it.
    pub(crate) fn columns(&self, mapping: Vec<(String, String)>) -> SourceOptions {
        SourceOptions {
            mapping,
            required_columns: self.required_columns.clone(),
            ..SourceOptions::default()
        }
    }
}

impl FaqSource for CatalogSource {
    fn describe(&self) -> String {
        self.options.location()
    }

    /// On a thread and a runtime of its own: whoever calls may be in one already, and waits as for a file.
    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError> {
        let place = self.options.connect.describe();
        let relation = self.options.relation.clone();
        let broken = |message: &str| {
            SourceError::new(SourceErrorKind::Unreadable, format!("{message}: {place}"))
        };
        let options = Arc::clone(&self.options);
        let limits = *limits;
        let reading = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| {
                    SourceError::new(SourceErrorKind::Unreadable, "no runtime for reading")
                        .with_source(error)
                })?;
            runtime.block_on(reading::read(&options, &limits))
        };
        let thread = thread::Builder::new()
            .name("catalogue".to_owned())
            .spawn(reading)
            .map_err(|error| broken("no thread for reading").with_source(error))?;
        thread.join().unwrap_or_else(|_| {
            let asked = Asked {
                place: &place,
                relation: &relation,
            };
            Err(broken(&format!("reading {} broke off", asked.relation)))
        })
    }
}

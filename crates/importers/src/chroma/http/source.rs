//! A collection of a server, page by page.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use storage_core::{ImportError, ImportErrorKind, ImportSource, Imported, ImportedCollection};

use super::answer::{Listed, Page, Version, Wanted};
use super::client::{Client, Failure};
use crate::chroma::names::Name;

/// Safe everywhere: hosted servers give no more, old ones fail beyond what their SQLite takes.
const PAGE: u64 = 300;

const WORDS: [&str; 3] = ["documents", "metadatas", "uris"];
const ALL: [&str; 4] = ["embeddings", "documents", "metadatas", "uris"];

/// What is said of a record whose vector the server cannot find.
const FORGOTTEN: &str =
    "the server has no vector for it; its log may have one: import the server's directory";

/// A collection of a server.
#[derive(Debug)]
pub(super) struct ServerSource {
    about: ImportedCollection,
    remote: Arc<Remote>,
}

/// Where a collection is.
#[derive(Debug)]
struct Remote {
    client: Arc<Client>,
    path: Vec<String>,
    title: String,
    total: u64,
    dimensions: Option<u32>,
}

impl ServerSource {
    /// Asks how much the collection holds.
    pub(super) async fn describe(
        client: Arc<Client>,
        version: Version,
        name: &Name,
        listed: Listed,
        title: String,
        note: Option<String>,
    ) -> Result<Self, ImportError> {
        let metric = listed.metric().map_err(|word| {
            ImportError::new(
                ImportErrorKind::Unsupported,
                format!("collection `{title}`: its distance `{word}` is none of l2, cosine and ip"),
            )
        })?;
        let mut path = version.collections(&name.tenant, &name.database);
        path.push(listed.id);
        let mut remote = Remote {
            client,
            path,
            title,
            total: 0,
            dimensions: listed.dimension.filter(|&number| number > 0),
        };
        remote.total = remote.count().await?;
        let about = ImportedCollection {
            kind: "chroma",
            name: remote.title.clone(),
            location: remote.client.location().to_owned(),
            total: remote.total,
            dimensions: remote.dimensions.and_then(NonZeroU32::new),
            metric,
            model: None,
            lossy: None,
            notes: note.into_iter().collect(),
        };
        Ok(Self {
            about,
            remote: Arc::new(remote),
        })
    }
}

impl ImportSource for ServerSource {
    fn collection(&self) -> &ImportedCollection {
        &self.about
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let reading = Reading {
            remote: Arc::clone(&self.remote),
            page: PAGE,
            offset: 0,
            seen: HashSet::new(),
            dimensions: self.remote.dimensions,
            over: false,
        };
        try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await?;
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed()
    }
}

/// How far a collection has been read.
struct Reading {
    remote: Arc<Remote>,
    page: u64,
    offset: u64,
    seen: HashSet<Box<str>>,
    dimensions: Option<u32>,
    over: bool,
}

impl Reading {
    /// The next page; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Imported>>, ImportError> {
        if self.over {
            return Ok(None);
        }
        if self.offset == 0 && self.remote.count().await? != self.remote.total {
            return Err(self.remote.changing());
        }
        let page = loop {
            match self.remote.page(self.page, self.offset).await {
                Ok(page) => break page,
                Err(Failure::TooLarge) if self.page > 1 => self.page /= 2,
                Err(failure) => return Err(self.remote.client.explain(failure)),
            }
        };
        if page.ids.is_empty() {
            self.over = true;
            let count = self.remote.count().await?;
            return match self.offset == self.remote.total && count == self.remote.total {
                true => Ok(None),
                false => Err(self.remote.changing()),
            };
        }
        for id in &page.ids {
            // Whoever inserts or deletes moves what is behind into another page.
            if !self.seen.insert(id.as_str().into()) {
                return Err(self.remote.changing());
            }
        }
        let first = self.offset;
        self.offset += page.ids.len() as u64;
        if self.offset > self.remote.total {
            return Err(self.remote.changing());
        }
        Ok(Some(page.records(first, &mut self.dimensions, FORGOTTEN)))
    }
}

impl Remote {
    fn path<'a>(&'a self, last: &'a str) -> Vec<&'a str> {
        let mut path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        path.push(last);
        path
    }

    async fn count(&self) -> Result<u64, ImportError> {
        let count = self.client.get_if_known(&self.path("count"), &[]).await?;
        count.ok_or_else(|| self.changing())
    }

    async fn page(&self, limit: u64, offset: u64) -> Result<Page, Failure> {
        let wanted = |include| Wanted {
            ids: None,
            include,
            limit: Some(limit),
            offset: Some(offset),
        };
        let page = match self.get(&wanted(&ALL)).await {
            Err(Failure::Forgotten) => {
                let page = self.get(&wanted(&WORDS)).await?;
                self.one_by_one(page).await?
            }
            answer => answer?,
        };
        if page.ids.len() as u64 > limit {
            return Err(self.uneven().into());
        }
        Ok(page)
    }

    /// A page with a record that a server of version 0.4 has forgotten: the others can still be had.
    async fn one_by_one(&self, page: Page) -> Result<Page, Failure> {
        let mut embeddings = Vec::with_capacity(page.ids.len());
        for id in &page.ids {
            let wanted = Wanted {
                ids: Some([id]),
                include: &["embeddings"],
                limit: None,
                offset: None,
            };
            embeddings.push(match self.get(&wanted).await {
                Ok(only) if only.ids.len() == 1 && only.ids[0] == *id => only.embedding_of_only(),
                Ok(_) => return Err(self.changing().into()),
                Err(Failure::Forgotten) => None,
                Err(failure) => return Err(failure),
            });
        }
        Ok(page.with_embeddings(embeddings))
    }

    async fn get(&self, wanted: &Wanted<'_>) -> Result<Page, Failure> {
        let page: Page = self.client.post(&self.path("get"), wanted).await?;
        match page.is_even() {
            true => Ok(page),
            false => Err(self.uneven().into()),
        }
    }

    fn uneven(&self) -> ImportError {
        self.client
            .unsupported("it answers with columns that do not fit each other")
    }

    fn changing(&self) -> ImportError {
        ImportError::new(
            ImportErrorKind::Changing,
            format!(
                "something writes to collection `{}` at {} while it is read; stop the writer, and start again",
                self.title,
                self.client.location()
            ),
        )
    }
}

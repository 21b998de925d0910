//! The store as one that searches by itself, and whoever looks after its indexes.

use std::time::Duration;

use async_trait::async_trait;
use storage_core::{
    CollectionName, Effort, Embedding, IndexPlan, IndexProgress, IndexReport, Nearest,
    NearestNeighbours, NearestQuery, Result, Timestamp,
};

use crate::connect::{self, Session};
use crate::error::{Failure, Outcome};
use crate::index::{self, Builder, Forget, HowFar, KeepEffort, Look, Note, Survey};
use crate::nearest::{FindNearest, Sample};
use crate::open::patience;
use crate::own_session;
use crate::store::PostgresStore;
use crate::tx::{Tx, Work, within};

/// How often a build is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[async_trait]
impl NearestNeighbours for PostgresStore {
    async fn find(&self, query: &NearestQuery) -> Result<Nearest> {
        self.read(FindNearest(query)).await
    }

    async fn sample(&self, collection: &CollectionName, count: usize) -> Result<Vec<Embedding>> {
        self.read(Sample(collection, count)).await
    }

    async fn indexes(&self, collection: &CollectionName) -> Result<IndexReport> {
        Ok(self.read(Look(collection)).await?.report())
    }

    async fn build_index(
        &self,
        collection: &CollectionName,
        plan: IndexPlan,
        at: Timestamp,
        progress: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Result<String> {
        let built = async {
            let own = Own::begin(self).await?;
            let built = self.build(&own, collection, plan, at, progress).await;
            own.session.close().await;
            built
        };
        built
            .await
            .map_err(|failure: Failure| failure.at("index", &self.place))
    }

    async fn drop_indexes(&self, collection: &CollectionName) -> Result<Vec<String>> {
        let dropped = async {
            let own = Own::begin(self).await?;
            let dropped = own.drop_all(collection).await;
            own.session.close().await;
            dropped
        };
        dropped
            .await
            .map_err(|failure: Failure| failure.at("index", &self.place))
    }

    async fn keep_effort(
        &self,
        collection: &CollectionName,
        effort: Effort,
        measurement: &str,
    ) -> Result<()> {
        let kept = async {
            let own = Own::begin(self).await?;
            let kept = async {
                let space = own.run(&Look(collection)).await?.space;
                let keep = KeepEffort {
                    space,
                    effort,
                    measurement,
                };
                own.run(&keep).await
            };
            let kept = kept.await;
            own.session.close().await;
            kept
        };
        kept.await
            .map_err(|failure: Failure| failure.at("index", &self.place))
    }
}

impl PostgresStore {
    async fn build(
        &self,
        own: &Own<'_>,
        collection: &CollectionName,
        plan: IndexPlan,
        at: Timestamp,
        progress: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Outcome<String> {
        let (survey, builder) = own.prepare(collection, plan).await?;
        // Nobody else builds now, so what is unfinished is what a killed build left.
        for index in survey.indexes.iter().filter(|index| !index.valid) {
            tracing::info!("dropping {}, which a killed build left", index.name);
            builder.drop(&index.name).await?;
        }
        let name = index::next_name(&survey);
        let backend = builder.backend().await?;
        let built = {
            let building = builder.build(&name, &survey, plan);
            tokio::pin!(building);
            loop {
                tokio::select! {
                    built = &mut building => break built,
                    () = tokio::time::sleep(LOOK_EVERY) => {
                        // Whether it can be seen how far it is does not matter to the build.
                        if let Ok(Some(how_far)) = self.readers.run(&HowFar(backend)).await {
                            progress(how_far);
                        }
                    }
                }
            }
        };
        if let Err(failure) = built {
            if !failure.is_lost()
                && let Err(left) = builder.drop(&name).await
            {
                tracing::debug!(
                    "what is left of {name} could not be dropped: {}",
                    left.fact()
                );
            }
            return Err(failure);
        }
        own.run(&Note {
            space: survey.space,
            name: &name,
            plan,
            at,
        })
        .await?;
        for index in survey.indexes.iter().filter(|index| index.valid) {
            builder.drop(&index.name).await?;
        }
        Ok(name)
    }
}

/// A session of our own on the primary, outside the writer's lock: an index changes no row.
struct Own<'a> {
    store: &'a PostgresStore,
    session: Session,
}

impl<'a> Own<'a> {
    async fn begin(store: &'a PostgresStore) -> Outcome<Self> {
        let session = connect::connect_once(&store.options).await?;
        own_session::require(&session.client, &store.options).await?;
        Ok(Self { store, session })
    }

    /// Does a piece of work in one transaction.
    async fn run<W: Work>(&self, work: &W) -> Outcome<W::Output> {
        let client = &self.session.client;
        let patience = patience(&self.store.options);
        let vector = self.store.readers.vector();
        let begin = format!(
            "BEGIN; {}",
            connect::local_settings(&self.store.options, vector.schema())
        );
        within(patience, client.batch_execute(&begin)).await?;
        let tx = Tx {
            client,
            patience,
            vector,
        };
        match work.run(&tx).await {
            Ok(output) => {
                within(patience, client.batch_execute("COMMIT")).await?;
                Ok(output)
            }
            Err(failure) => {
                if !failure.is_lost() {
                    within(patience, client.batch_execute("ROLLBACK")).await?;
                }
                Err(failure)
            }
        }
    }

    /// Makes the session one that builds, and looks at what there is.
    async fn prepare(
        &self,
        collection: &CollectionName,
        plan: IndexPlan,
    ) -> Outcome<(Survey, Builder<'_>)> {
        let builder = Builder {
            client: &self.session.client,
        };
        let survey = self.run(&Look(collection)).await?;
        let options = &self.store.options;
        let path =
            connect::search_path(options.schema(), Some(self.store.readers.vector().schema()));
        builder.prepare(&path, plan, &survey.extension).await?;
        builder.lock().await?;
        // Again, now that nobody else changes it.
        Ok((self.run(&Look(collection)).await?, builder))
    }

    async fn drop_all(&self, collection: &CollectionName) -> Outcome<Vec<String>> {
        let (survey, builder) = self.prepare(collection, IndexPlan::default()).await?;
        let mut names = Vec::with_capacity(survey.indexes.len());
        for index in &survey.indexes {
            builder.drop(&index.name).await?;
            names.push(index.name.clone());
        }
        self.run(&Forget(survey.space)).await?;
        Ok(names)
    }
}

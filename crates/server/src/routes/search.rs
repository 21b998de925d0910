//! `POST /search`: the entries that fit a question.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt};
use retriever::{SearchOptions, Searched};
use storage_core::{Embedding, Filter};

use crate::backend::ServiceErrorKind;
use crate::problem::{Code, Problem, ProblemBody};
use crate::request::{Json, json};
use crate::service::Service;
use crate::shapes::{BatchBody, SearchBody, SearchRequest, SearchSpec};
use crate::snapshot::{Served, Snapshot};

/// Questions of one request that wait for their vectors at a time.
const QUESTIONS_ABREAST: usize = 8;

/// Finds the entries that fit a question, given in words or as a vector; or several at once.
#[utoipa::path(
    post,
    path = "/search",
    tag = "search",
    security(("key" = [])),
    request_body = SearchRequest,
    responses(
        (status = 200, description = "What was found; `results` for a batch", body = SearchAnswer),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search(
    State(service): State<Arc<Service>>,
    Json(mut request): Json<SearchSpec>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let snapshot = service.snapshot()?;
    let Some(specs) = request.batch.take() else {
        let mut found = find(&service, &snapshot, vec![request], started).await?;
        let search = found
            .pop()
            .ok_or_else(|| Problem::internal(&"one search, no answer"))?;
        return Ok(json(&SearchBody { schema: 1, search }));
    };
    if request.has_anything() || specs.iter().any(|spec| spec.batch.is_some()) {
        return Err(invalid(
            "a batch is a list of single searches, and stands alone",
        ));
    }
    let most = service.settings.limits.batch;
    if specs.is_empty() || specs.len() > most {
        return Err(invalid(format!(
            "a batch has 1 to {most} searches, not {}",
            specs.len()
        )));
    }
    let results = find(&service, &snapshot, specs, started).await?;
    Ok(json(&BatchBody { schema: 1, results }))
}

/// What a search answers: described as either.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only described; each is written as it is")]
pub(crate) enum SearchAnswer {
    /// One.
    One(Box<SearchBody>),
    /// Several.
    Batch(BatchBody),
}

/// A search that may be asked: checked, with its vector.
pub(crate) struct Asked {
    pub(crate) served: Arc<Served>,
    pub(crate) vector: Embedding,
    pub(crate) options: SearchOptions,
    pub(crate) calibrated: bool,
    pub(crate) embed: Duration,
}

/// What one was answered.
pub(crate) struct Answered {
    pub(crate) asked: Asked,
    pub(crate) searched: Searched,
    pub(crate) search: Duration,
}

async fn find(
    service: &Service,
    snapshot: &Snapshot,
    specs: Vec<SearchSpec>,
    started: Instant,
) -> Result<Vec<wire::Search>, Problem> {
    // Everything that can be wrong is found before anything is embedded.
    let checked = specs
        .into_iter()
        .map(|spec| Checked::new(service, snapshot, spec))
        .collect::<Result<Vec<_>, _>>()?;
    bound(service, &checked)?;
    // A request has its share of the places for questions, however many it brings.
    let asked: Vec<Asked> = futures_util::stream::iter(checked)
        .map(|checked| checked.ask(service))
        .buffered(QUESTIONS_ABREAST)
        .try_collect()
        .await?;
    let degraded = service.degraded();
    let answered = answer(service, asked).await?;
    Ok(answered
        .into_iter()
        .map(|answered| body(answered, started, degraded.as_deref()))
        .collect())
}

/// What searches are small for one by one and large together.
fn bound(service: &Service, checked: &[Checked]) -> Result<(), Problem> {
    let limits = &service.settings.limits;
    let hits: usize = checked.iter().map(|checked| checked.options.top_k).sum();
    if hits > limits.batch_hits {
        return Err(invalid(format!(
            "the searches of a batch ask for {hits} entries together, where {} are allowed",
            limits.batch_hits
        )));
    }
    let mut filters: Vec<&Filter> = Vec::new();
    for checked in checked {
        let filter = &checked.options.filter;
        if looks_at_every_row(filter) && !filters.contains(&filter) {
            filters.push(filter);
        }
        if filters.len() > limits.batch_filters {
            return Err(invalid(format!(
                "a batch has at most {} different filters by text or metadata",
                limits.batch_filters
            )));
        }
    }
    Ok(())
}

/// Whether a filter is answered by looking into rows, not by a list of them.
pub(crate) fn looks_at_every_row(filter: &Filter) -> bool {
    filter.contains.is_some() || !filter.metadata.is_empty()
}

fn body(answered: Answered, started: Instant, degraded: Option<&str>) -> wire::Search {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let Answered {
        asked,
        searched,
        search,
    } = answered;
    let hits = searched.hits.iter().enumerate();
    wire::Search {
        hits: hits
            .map(|(place, hit)| wire::Hit::of(place + 1, hit.score, &hit.document))
            .collect(),
        generation: asked.served.generation.0,
        model: asked.served.model.clone(),
        mode: "exact",
        index: None,
        disagreements: None,
        threshold: asked.options.threshold,
        calibrated: asked.calibrated,
        ms: wire::SearchMilliseconds {
            embed: ms(asked.embed),
            search: ms(search),
            total: ms(started.elapsed()),
        },
        degraded: degraded.map(ToOwned::to_owned),
    }
}

/// Lets the rows be compared, those of one collection together.
pub(crate) async fn answer(service: &Service, asked: Vec<Asked>) -> Result<Vec<Answered>, Problem> {
    service
        .metrics
        .waiting_searches
        .set(i64::try_from(service.searches.waiting()).unwrap_or(i64::MAX));
    let mut answers: Vec<Option<(Searched, Duration)>> = (0..asked.len()).map(|_| None).collect();
    let mut begun = 0;
    while let Some(first) = (begun..asked.len()).find(|place| answers[*place].is_none()) {
        begun = first;
        let served = &asked[first].served;
        let places: Vec<usize> = (first..asked.len())
            .filter(|place| Arc::ptr_eq(&asked[*place].served, served))
            .collect();
        let questions = places
            .iter()
            .map(|place| (asked[*place].vector.clone(), asked[*place].options.clone()))
            .collect();
        let (found, took) = service.searches.ask(Arc::clone(served), questions).await?;
        service.metrics.search_seconds.observe(took.as_secs_f64());
        for (place, searched) in places.into_iter().zip(found) {
            let searched = searched
                .map_err(|error| Problem::new(Code::DimensionMismatch, error.to_string()))?;
            answers[place] = Some((searched, took));
        }
    }
    let pairs = asked.into_iter().zip(answers);
    Ok(pairs
        .filter_map(|(asked, answer)| {
            let (searched, search) = answer?;
            Some(Answered {
                asked,
                searched,
                search,
            })
        })
        .collect())
}

/// A search of which all is well but that its question may have no vector yet.
pub(crate) struct Checked {
    served: Arc<Served>,
    question: Question,
    options: SearchOptions,
    calibrated: bool,
}

enum Question {
    Words(String),
    Vector(Embedding),
}

impl Checked {
    pub(crate) fn new(
        service: &Service,
        snapshot: &Snapshot,
        spec: SearchSpec,
    ) -> Result<Self, Problem> {
        let limits = &service.settings.limits;
        let served = service.collection(snapshot, spec.collection.as_deref())?;
        let question = match (spec.text, spec.vector) {
            (Some(text), None) => Question::Words(words(&text, limits.question_chars)?),
            (None, Some(numbers)) => Question::Vector(vector(numbers, &served)?),
            (Some(_), Some(_)) => return Err(invalid("either text or vector, not both")),
            (None, None) => return Err(invalid("no question: send text, or a vector")),
        };
        let top_k = match spec.top_k {
            None => service.settings.top_k,
            Some(wanted) => usize::try_from(wanted)
                .ok()
                .filter(|wanted| (1..=limits.top_k).contains(wanted))
                .ok_or_else(|| invalid(format!("top_k is 1 to {}", limits.top_k)))?,
        };
        let threshold = spec.threshold.or(service.settings.threshold);
        if threshold.is_some_and(|threshold| !(-1.0..=1.0).contains(&threshold)) {
            return Err(invalid("threshold is a cosine: −1 to 1"));
        }
        let metadata = spec
            .filters
            .map(|filters| filters.predicates(limits.filters))
            .transpose()?
            .unwrap_or_default();
        Ok(Self {
            calibrated: threshold.is_none() && served.calibrated.is_some(),
            options: SearchOptions {
                top_k,
                threshold: threshold.or(served.calibrated),
                filter: Filter {
                    category: spec.category,
                    document: spec.document,
                    contains: spec.contains,
                    metadata,
                },
            },
            question,
            served,
        })
    }

    /// Gives the question its vector.
    pub(crate) async fn ask(self, service: &Service) -> Result<Asked, Problem> {
        let (vector, embed) = match self.question {
            Question::Vector(vector) => (vector, Duration::ZERO),
            Question::Words(text) => {
                let embedder = self.served.embedder.as_ref().map_err(|error| {
                    let code = match error.kind() {
                        ServiceErrorKind::Model => Code::ModelMismatch,
                        ServiceErrorKind::Configuration => Code::NotConfigured,
                        _ => Code::ProviderUnavailable,
                    };
                    Problem::new(code, error.to_string())
                })?;
                match &self.served.space {
                    // Nothing is stored, so nothing is found, whatever the vector.
                    None => (nothing(), Duration::ZERO),
                    Some(space) => {
                        let (vector, took) =
                            service.questions.embed(&space.id, embedder, &text).await?;
                        ((*vector).clone(), took)
                    }
                }
            }
        };
        Ok(Asked {
            served: self.served,
            vector,
            options: self.options,
            calibrated: self.calibrated,
            embed,
        })
    }
}

fn nothing() -> Embedding {
    Embedding::new(vec![1.0f32]).expect("one is a usable number")
}

fn words(text: &str, most: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid("the question is empty"));
    }
    if text.chars().nth(most).is_some() {
        return Err(invalid(format!(
            "the question has more than {most} characters"
        )));
    }
    Ok(text.to_owned())
}

fn vector(numbers: Vec<f32>, served: &Served) -> Result<Embedding, Problem> {
    let count = numbers.len();
    if let Some(space) = &served.space
        && count != space.model.dimensions.get() as usize
    {
        return Err(Problem::new(
            Code::DimensionMismatch,
            format!(
                "the vector has {count} numbers, those of {} have {}",
                space.model.name, space.model.dimensions
            ),
        ));
    }
    Embedding::new(numbers)
        .map_err(|error| Problem::new(Code::InvalidVector, format!("the vector: {error}")))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

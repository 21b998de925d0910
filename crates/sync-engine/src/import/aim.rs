//! Where an import's rows go: the space of their vectors, the recipe of their texts, and what is there already.

use storage_core::{
    CollectionStatus, EmbedText, EmbeddingModel, EmbeddingSpace, Fingerprint, Generation, Imported,
    ImportedCollection, ImportedRecord, ModelSpec, NORMALISER, SourceId, StoreErrorKind,
    StoreStatus, VersionId, VersionSpec, normalise,
};

use super::{ImportContext, ImportOptions};
use crate::{SyncError, SyncErrorKind};

/// The provider of a space whose vectors were imported, while nobody knows who made them.
pub const IMPORTED: &str = "import";

/// The format whose records are known by their ids alone: whatever file they come from.
const BY_ID: &str = "vectors";

/// Decided before the first record is moved.
#[derive(Debug)]
pub(super) struct Aim {
    /// The space that the vectors lie in.
    pub(super) space: EmbeddingSpace,
    /// The recipe that gives the texts that were embedded.
    pub(super) embed_text: EmbedText,
    /// Both.
    pub(super) version: VersionSpec,
    /// Their name: a digest, and every row refers to it.
    pub(super) version_id: VersionId,
    /// Whether the collection serves that version from now on: it has no rows of another.
    pub(super) activate: bool,
    /// Who owns the rows.
    pub(super) source: SourceId,
    /// Whether that source was last read from this very place, or never: another place under the same name may hold
    /// other records under the same ids.
    pub(super) same_place: bool,
    /// Where it was last read from.
    before: Option<String>,
    /// The generation this was decided on.
    pub(super) base: Generation,
    /// The rows that are there, in key order.
    pub(super) fingerprints: Vec<Fingerprint>,
}

impl Aim {
    /// Decides by what the store holds and by the first records.
    pub(super) async fn of(
        context: &ImportContext<'_>,
        options: &ImportOptions,
        first: &[Imported],
    ) -> Result<Self, SyncError> {
        let status = context.store.status().await?;
        let known = status
            .collection(&options.collection)
            .filter(|known| known.records > 0 && known.active.is_some());
        let model = model(context, options)?;
        let source = source_id(context, options);
        let (space, embed_text) = match known {
            Some(known) => served(&status, known, &model, options)?,
            None => {
                let space = space(context, &status, options, &model);
                (space, recipe(first, options, &source)?)
            }
        };
        let (base, fingerprints) = context.store.fingerprints(&options.collection).await?;
        let sources = context.store.sources(&options.collection).await?;
        let described = context.source.collection();
        let before = sources.into_iter().find(|known| known.id == source);
        let before = before
            .filter(|known| described.kind != BY_ID && known.location != described.location)
            .map(|known| known.location);
        let version = VersionSpec {
            space: space.id.clone(),
            embed_text: embed_text.clone(),
        };
        Ok(Self {
            version_id: version.id(),
            version,
            activate: known.is_none(),
            space,
            embed_text,
            source,
            same_place: before.is_none(),
            before,
            base,
            fingerprints,
        })
    }

    /// Where rows of the source's own name came from, if that is another place: for a message.
    pub(super) fn elsewhere(&self) -> String {
        let before = self.before.as_ref();
        before.map_or_else(String::new, |before| format!(" in {before}"))
    }

    /// The rows of a document, whichever source they are of: one source owns them all.
    pub(super) fn rows_of(&self, document: &str) -> &[Fingerprint] {
        let start = self
            .fingerprints
            .partition_point(|row| *row.key.document < *document);
        let rows = &self.fingerprints[start..];
        &rows[..rows.partition_point(|row| row.key.document == document)]
    }

    /// The row of that key, where there is one.
    pub(super) fn known(&self, key: &storage_core::DocumentKey) -> Option<&Fingerprint> {
        let found = self
            .fingerprints
            .binary_search_by(|fingerprint| fingerprint.key.cmp(key));
        found.ok().map(|position| &self.fingerprints[position])
    }
}

/// One name for everything that comes out of one legacy collection, so that a second import of it goes on from the
/// first. Plain vectors have no name of their own: whatever is imported by id into a collection is one source.
fn source_id(context: &ImportContext<'_>, options: &ImportOptions) -> SourceId {
    let described = context.source.collection();
    let name: String = described
        .name
        .chars()
        .filter(|char| !char.is_control())
        .take(120)
        .collect();
    let id = if described.kind == BY_ID || name.trim().is_empty() {
        format!("{}:{}", described.kind, options.collection)
    } else {
        format!("{}:{name}", described.kind)
    };
    SourceId::new(id.chars().take(200).collect::<String>())
        .expect("a kind and a short name without control characters are a valid name")
}

/// The name of the model that a source's vectors are of: what was typed, else what the source says.
///
/// # Errors
/// `ModelUnknown` when neither names one, or what they name is no name.
pub fn imported_model<'a>(
    source: &'a ImportedCollection,
    typed: Option<&'a str>,
) -> Result<&'a str, SyncError> {
    let unknown = |message| SyncError::new(SyncErrorKind::ModelUnknown, message);
    let name = typed.or(source.model.as_deref()).ok_or_else(|| {
        unknown(format!(
            "{} does not say which model its vectors are of, and a wrong guess would mix two: name it with --model NAME",
            source.location
        ))
    })?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(unknown(format!(
            "{name:?} is no model's name; name the one that made the vectors with --model NAME"
        )));
    }
    Ok(name)
}

/// What the vectors are of.
fn model(
    context: &ImportContext<'_>,
    options: &ImportOptions,
) -> Result<EmbeddingModel, SyncError> {
    let described = context.source.collection();
    let name = imported_model(described, options.model.as_deref())?;
    let found = described.dimensions.ok_or_else(|| {
        SyncError::new(
            SyncErrorKind::Model,
            format!(
                "{} does not say how long its vectors are; name it with --dimensions N",
                described.location
            ),
        )
    })?;
    if let Some(wanted) = options.dimensions.filter(|wanted| *wanted != found) {
        return Err(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "the vectors of {} have {found} numbers, --dimensions says {wanted}; leave it out, or name the source \
                 that was meant",
                described.location
            ),
        ));
    }
    let plain = ModelSpec {
        name: name.to_owned(),
        dimensions: Some(found),
        revision: String::new(),
        query_prefix: String::new(),
        passage_prefix: String::new(),
        normaliser: NORMALISER,
    };
    // The provider that will be asked questions knows more of the model than its name, even if it is asked nothing now.
    let spec = context
        .embedder
        .as_ref()
        .map(|embedder| embedder.spec())
        .filter(|spec| spec.name == name && spec.dimensions.is_none_or(|width| width == found));
    Ok(spec.unwrap_or(&plain).with_dimensions(found))
}

/// The space of that model that is registered, or one that will be.
fn space(
    context: &ImportContext<'_>,
    status: &StoreStatus,
    options: &ImportOptions,
    model: &EmbeddingModel,
) -> EmbeddingSpace {
    let plain = status
        .spaces
        .iter()
        .filter(|space| space.nonce.is_empty())
        .find(|space| space.model == *model || is_named(&space.model, model));
    plain.cloned().unwrap_or_else(|| {
        let provider = options.provider.as_deref().unwrap_or(IMPORTED);
        EmbeddingSpace::new(model.clone(), "", provider, (context.clock)())
    })
}

/// A model of which the import knows no more than its name is the one that the store knows by that name.
fn is_named(stored: &EmbeddingModel, model: &EmbeddingModel) -> bool {
    let by_name_only = model.revision.is_empty()
        && model.query_prefix.is_empty()
        && model.passage_prefix.is_empty();
    by_name_only && stored.name == model.name && stored.dimensions == model.dimensions
}

/// What the collection serves, if the source's vectors are of it.
fn served(
    status: &StoreStatus,
    known: &CollectionStatus,
    model: &EmbeddingModel,
    options: &ImportOptions,
) -> Result<(EmbeddingSpace, EmbedText), SyncError> {
    let space = status.active(&known.name).ok_or_else(|| {
        SyncError::new(
            SyncErrorKind::Store(StoreErrorKind::Corrupt),
            format!(
                "collection {} serves a version that is not there; see `smart-support validate`",
                known.name
            ),
        )
    })?;
    if space.model != *model && !is_named(&space.model, model) {
        return Err(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "collection {} holds vectors of {}, the source's are of {model}: scores of two models cannot be compared. \
                 Import into a collection of its own with --collection NAME{}",
                known.name,
                space.model,
                if space.model.dimensions == model.dimensions {
                    format!(
                        ", or if both are one model, say so with --model {:?}",
                        space.model.name
                    )
                } else {
                    String::new()
                }
            ),
        ));
    }
    let embed_text = known
        .embed_text()
        .map_err(|error| {
            SyncError::new(
                SyncErrorKind::Store(StoreErrorKind::Corrupt),
                format!("collection {}: {error}", known.name),
            )
        })?
        .unwrap_or_default();
    if let Some(wanted) = options
        .embed_text
        .as_ref()
        .filter(|wanted| **wanted != embed_text)
    {
        return Err(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "collection {} embeds {:?}, not {:?}; leave --embed-text out, or import into a collection of its own with \
                 --collection NAME",
                known.name,
                embed_text.as_str(),
                wanted.as_str()
            ),
        ));
    }
    Ok((space.clone(), embed_text))
}

/// The recipe of a new collection: the usual one where it gives the texts that the source embedded, else the answer or
/// the question alone.
fn recipe(
    first: &[Imported],
    options: &ImportOptions,
    source: &SourceId,
) -> Result<EmbedText, SyncError> {
    if let Some(recipe) = &options.embed_text {
        return Ok(recipe.clone());
    }
    let with_text = first.iter().find_map(|item| match item {
        Imported::Record(record) if record.text.is_some() => Some(record),
        _ => None,
    });
    let usual = EmbedText::default();
    let Some(record) = with_text else {
        return Ok(usual);
    };
    let document = options.fields.document(
        &mut ImportedRecord::clone(record),
        &options.collection,
        source,
    );
    let wanted = normalise(record.text.as_deref().unwrap_or_default());
    let others = ["{answer}", "{question}"].map(EmbedText::parse);
    std::iter::once(usual)
        .chain(others.into_iter().flatten())
        .find(|recipe| recipe.render(&document) == wanted)
        .ok_or_else(|| {
            SyncError::new(
                SyncErrorKind::Model,
                format!(
                    "the mapped fields do not give the text that was embedded (record {:?}); map others with --map, or say \
                     what was embedded with --embed-text RECIPE",
                    record.document
                ),
            )
        })
}

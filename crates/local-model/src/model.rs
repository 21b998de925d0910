//! A model as the rest of the project sees it: its files opened, texts in, vectors out.

use std::borrow::Cow;
use std::mem::discriminant;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::checksum::hex;
use crate::error::{Damage, ModelError, ModelErrorKind};
use crate::forward::{Scratch, forward};
use crate::known::{ALL_MINILM_L6_V2, Format, KnownModel, MULTILINGUAL_E5_SMALL};
use crate::layout::{Layout, e5s1, safetensors};
use crate::mapped::ModelBytes;
use crate::tokenizer::{Encoded, Tokenizer, Unigram, WordPiece};
use crate::weights::Weights;

/// Tokens that go through the network together. Enough to make reading the weights cheap against using them, few enough
/// for the activations (about 20 KB a token) to stay in the second- and third-level cache.
const CHUNK_TOKENS: usize = 256;

/// A known model, loaded. Cheap to share between threads by reference; each call brings its own scratch memory.
pub struct LocalModel {
    model: &'static KnownModel,
    tokenizer: Tokenizer,
    weights: Weights,
    /// Tokens of a text, marks not counted, that are read.
    token_limit: usize,
    revision: String,
    threads: usize,
}

impl std::fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalModel")
            .field("model", &self.model.name)
            .field("revision", &self.revision)
            .field("threads", &self.threads)
            .finish()
    }
}

impl LocalModel {
    /// Maps and loads the weights at `path`, a file or the directory of one, and what belongs beside them. Takes some tens
    /// of milliseconds and up to 90 MB beside the mapped file.
    ///
    /// The files' structure is checked in full, and every weight of the layers goes into the
    /// [`revision`](LocalModel::revision). Their checksums are not looked at: that is done by [`fetch`](crate::fetch) when
    /// the files arrive and by [`verify`](crate::verify) on request.
    ///
    /// # Errors
    /// [`ModelErrorKind::Missing`] if there is no such file, [`ModelErrorKind::Storage`] if it cannot be read, and
    /// [`ModelErrorKind::Damaged`] if it is not the model.
    pub fn open(model: &'static KnownModel, path: &Path) -> Result<LocalModel, ModelError> {
        let paths = model.paths(&model.weights_at(path));
        let mut files = Vec::with_capacity(paths.len());
        for path in &paths {
            let file = map(model, path)?;
            // Before anything is missed beside a file that belongs to another model.
            if files.is_empty() {
                not_anothers(model, &file)
                    .map_err(|damage| ModelError::damaged(model, &paths, &damage))?;
            }
            files.push(file);
        }
        LocalModel::load(model, &files)
            .map_err(|damage| ModelError::damaged(model, &paths, &damage))
    }

    /// Loads files that are in memory already, such as one compiled in with `include_bytes!`, in the order of
    /// [`KnownModel::files`].
    ///
    /// # Errors
    /// [`ModelErrorKind::Damaged`] if they are not the model.
    pub fn from_bytes<F: Into<Cow<'static, [u8]>>>(
        model: &'static KnownModel,
        files: impl IntoIterator<Item = F>,
    ) -> Result<LocalModel, ModelError> {
        let files: Vec<_> = files
            .into_iter()
            .map(|bytes| Arc::new(ModelBytes::Memory(bytes.into())))
            .collect();
        LocalModel::load(model, &files).map_err(|damage| ModelError::damaged(model, &[], &damage))
    }

    /// Sets how many threads [`embed`](LocalModel::embed) uses. It begins with one for each processor.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> LocalModel {
        self.threads = threads.get();
        self
    }

    /// Loads a model's files, in the order in which the model lists them.
    fn load(model: &'static KnownModel, files: &[Arc<ModelBytes>]) -> Result<LocalModel, Damage> {
        let missing = |file: usize| move || Damage::new("it is missing").of_file(file);
        let file = files.first().ok_or_else(missing(0))?;
        not_anothers(model, file)?;
        let loaded = match model.format {
            Format::E5s1 => {
                let (layout, vocabulary) = e5s1::parse(file)?;
                // A cut of the vocabulary keeps the rest of the file byte for byte, and with it the vectors.
                let digested = |name: &[u8]| name != b"emb.word";
                load(file, &layout, digested, || {
                    Unigram::new(Arc::clone(file), &vocabulary).map(Tokenizer::Unigram)
                })?
            }
            Format::Safetensors(shape) => {
                let layout = safetensors::parse(file, shape)?;
                let vocabulary = files.get(1).ok_or_else(missing(1))?;
                load(
                    file,
                    &layout,
                    |_| true,
                    || {
                        let word_piece = WordPiece::parse(vocabulary)
                            .and_then(|word_piece| word_piece.fitting(layout.rows));
                        word_piece
                            .map(Tokenizer::WordPiece)
                            .map_err(|damage| damage.of_file(1))
                    },
                )?
            }
        };
        let Loaded {
            tokenizer,
            weights,
            fingerprint,
        } = loaded;
        let hidden = weights.shape.hidden;
        if hidden != model.dimensions {
            return Err(Damage::new(format_args!(
                "its vectors have {hidden} dimensions, not {}",
                model.dimensions
            )));
        }
        let revision = if fingerprint == model.fingerprint {
            model.revision.to_owned()
        } else {
            format!("{fingerprint}-other")
        };
        Ok(LocalModel {
            model,
            tokenizer,
            token_limit: model.max_tokens.min(weights.shape.positions - 2),
            weights,
            revision,
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        })
    }

    /// Which model it is.
    pub fn known(&self) -> &'static KnownModel {
        self.model
    }

    /// Turns texts into vectors of [`KnownModel::dimensions`] numbers and length 1, in the order of the texts.
    ///
    /// The texts carry the prefix that the model asks for already. Any text has a vector, the empty one
    /// too. The same text gives the same vector up to rounding (about 1e-6) whatever it is embedded together with.
    /// Blocks the calling thread, and takes a thread more for each further processor when there is more than one text:
    /// about 14 ms for one question of twelve layers, 4 ms each in a batch, on a machine of two processors.
    ///
    /// # Errors
    /// [`ModelErrorKind::Damaged`] if the weights give a vector that is not finite.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let encoded: Vec<Vec<u32>> = texts.iter().map(|text| self.token_ids(text)).collect();
        // Texts of like length together, so that threads finish together; the longest first for the same reason.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(encoded[text].len()));
        let total: usize = encoded.iter().map(Vec::len).sum();
        let chunks = cut_into_chunks(
            &order,
            &encoded,
            CHUNK_TOKENS.min(total.div_ceil(self.threads)),
        );

        let workers = self.threads.min(chunks.len());
        let next = AtomicUsize::new(0);
        let vectors: Mutex<Vec<Option<Vec<f32>>>> = Mutex::new(vec![None; texts.len()]);
        let work = || {
            let mut scratch = Scratch::default();
            while let Some(&chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let ids: Vec<&[u32]> = chunk.iter().map(|&text| encoded[text].as_slice()).collect();
                let computed = forward(&self.weights, &mut scratch, &ids);
                let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
                for (&text, vector) in chunk.iter().zip(computed) {
                    vectors[text] = vector;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        let vectors = vectors.into_inner().unwrap_or_else(PoisonError::into_inner);
        vectors
            .into_iter()
            .map(|vector| {
                vector.ok_or_else(|| {
                    let damage = Damage::new("it gives vectors that are not finite");
                    ModelError::damaged(self.model, &[], &damage)
                })
            })
            .collect()
    }

    /// Counts the tokens of a text, prefix included. Beyond [`KnownModel::max_tokens`] they are not read.
    pub fn token_count(&self, text: &str) -> usize {
        self.tokenizer.encode(text, usize::MAX).ids.len()
    }

    /// The share of a text's characters, 0 to 1, that the vocabulary says nothing about; spaces are not counted.
    ///
    /// A large share means that the vector says little about the text: a script or a language that is not in the vocabulary.
    pub fn unknown_share(&self, text: &str) -> f32 {
        let Encoded {
            characters,
            unknown_characters,
            ..
        } = self.tokenizer.encode(text, self.token_limit);
        if characters == 0 {
            0.0
        } else {
            unknown_characters as f32 / characters as f32
        }
    }

    /// The piece numbers the network reads for a text: the begin mark, at most [`KnownModel::max_tokens`] pieces, the end
    /// mark.
    pub fn token_ids(&self, text: &str) -> Vec<u32> {
        let encoded = self.tokenizer.encode(text, self.token_limit);
        let (begin, end) = self.tokenizer.marks();
        let mut ids = Vec::with_capacity(encoded.ids.len() + 2);
        ids.push(begin);
        ids.extend(encoded.ids);
        ids.push(end);
        ids
    }

    /// The revision of the weights that are loaded: [`KnownModel::revision`] for the pinned files and for cuts of their
    /// vocabulary, another one for other weights. Vectors of different revisions must not be compared.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

/// Cuts `order` into runs whose texts have about `tokens` tokens together, at least one text each.
fn cut_into_chunks<'a>(
    order: &'a [usize],
    encoded: &[Vec<u32>],
    tokens: usize,
) -> Vec<&'a [usize]> {
    let mut chunks = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let mut taken = 0;
        let mut count = 0;
        while count < rest.len() && (count == 0 || taken + encoded[rest[count]].len() <= tokens) {
            taken += encoded[rest[count]].len();
            count += 1;
        }
        let (chunk, after) = rest.split_at(count);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// A model's parts, read from its files.
struct Loaded {
    tokenizer: Tokenizer,
    weights: Weights,
    fingerprint: String,
}

/// Reads weights, tokenizer and fingerprint side by side: none depends on another.
///
/// The fingerprint is a digest of every tensor that `digested` says yes to, and of a vocabulary that is a file of its own.
/// It tells other weights from the pinned ones, and a single wrong byte, in a fraction of the time that the files' SHA-256
/// would take.
fn load(
    file: &Arc<ModelBytes>,
    layout: &Layout,
    digested: impl Fn(&[u8]) -> bool + Sync,
    tokenizer: impl FnOnce() -> Result<Tokenizer, Damage> + Send,
) -> Result<Loaded, Damage> {
    let digest = || {
        let mut digest = blake3::Hasher::new();
        for (name, tensor) in layout.tensors() {
            if digested(name) {
                digest.update(&(tensor.bytes.len() as u64).to_le_bytes());
                digest.update(&file[tensor.bytes.clone()]);
            }
        }
        digest
    };
    let (tokenizer, weights, mut digest) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| (tokenizer(), digest()));
        let weights = Weights::load(Arc::clone(file), layout);
        let (tokenizer, digest) = beside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (tokenizer, weights, digest)
    });
    let tokenizer = tokenizer?;
    if let Tokenizer::WordPiece(word_piece) = &tokenizer {
        digest.update(word_piece.digest().as_bytes());
    }
    Ok(Loaded {
        tokenizer,
        weights: weights?,
        fingerprint: hex(&digest.finalize().as_bytes()[..6]),
    })
}

/// Maps one file of a model.
fn map(model: &KnownModel, path: &Path) -> Result<Arc<ModelBytes>, ModelError> {
    ModelBytes::map(path).map(Arc::new).map_err(|source| {
        let fetch = model.fetch_command();
        let (kind, message) = if source.kind() == std::io::ErrorKind::NotFound {
            let message = format!(
                "{}; run `{fetch}`, or name the weights with --model-path",
                model.not_there(path)
            );
            (ModelErrorKind::Missing, message)
        } else {
            let message = format!(
                "cannot read {} of the model {}; check that it is a file this user may read, or name another with --model-path",
                path.display(),
                model.name
            );
            (ModelErrorKind::Storage, message)
        };
        ModelError::new(kind, message).with_source(source)
    })
}

/// Refuses a file that is in the format of another model, and says which name reads it.
fn not_anothers(model: &KnownModel, file: &[u8]) -> Result<(), Damage> {
    let looks_like = if file.starts_with(e5s1::MAGIC) {
        &MULTILINGUAL_E5_SMALL
    } else if file.get(8) == Some(&b'{') {
        &ALL_MINILM_L6_V2
    } else {
        return Ok(());
    };
    if discriminant(&looks_like.format) == discriminant(&model.format) {
        return Ok(());
    }
    Err(Damage::new(format_args!(
        "it is written as {0} is (EMBEDDING_MODEL_NAME={0} reads those)",
        looks_like.name
    )))
}

#[cfg(test)]
mod tests;

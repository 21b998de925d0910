//! The model as the rest of the project sees it: a file opened, texts in, vectors out.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::checksum::hex;
use crate::error::{FETCH_COMMAND, ModelError, ModelErrorKind};
use crate::forward::{Scratch, forward};
use crate::layout::Layout;
use crate::mapped::ModelBytes;
use crate::tokenizer::{Encoded, Tokenizer};
use crate::weights::Weights;

/// Numbers in a vector.
pub const DIMENSIONS: usize = 384;

/// The model's name, as it is stored beside its vectors.
pub const NAME: &str = "multilingual-e5-small";

/// The revision of the pinned weights: the first twelve digits of the file's SHA-256, and how the weights are packed.
///
/// A file with other weights has another revision, see [`LocalModel::revision`].
pub const REVISION: &str = "1571fc982750-q4";

/// What a question has to begin with.
pub const QUERY_PREFIX: &str = "query: ";

/// What a text that is to be found has to begin with.
pub const PASSAGE_PREFIX: &str = "passage: ";

/// Tokens of a text, prefix included, that the model reads. What comes after is not seen.
pub const MAX_TOKENS: usize = 510;

/// What [`fingerprint`] gives for the pinned weights.
const PINNED_FINGERPRINT: &str = "cf71cbf2ed1f";

/// Tokens that go through the network together. Enough to make reading the weights cheap against using them, few enough
/// for the activations (about 20 KB a token) to stay in the second- and third-level cache.
const CHUNK_TOKENS: usize = 256;

/// multilingual-e5-small, loaded. Cheap to share between threads by reference; each call brings its own scratch memory.
pub struct LocalModel {
    tokenizer: Tokenizer,
    weights: Weights,
    bos: u32,
    eos: u32,
    /// Tokens of a text, marks not counted, that are read.
    token_limit: usize,
    revision: String,
    threads: usize,
}

impl std::fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalModel")
            .field("revision", &self.revision)
            .field("threads", &self.threads)
            .finish()
    }
}

impl LocalModel {
    /// Maps and loads the weights at `path`. Takes some tens of milliseconds and 90 MB beside the mapped file.
    ///
    /// The file's structure is checked in full, its checksum is not: that is done by [`fetch`](crate::fetch) when the
    /// file arrives and by [`verify`](crate::verify) on request.
    ///
    /// # Errors
    /// [`ModelErrorKind::Missing`] if there is no such file, [`ModelErrorKind::Storage`] if it cannot be read, and
    /// [`ModelErrorKind::Damaged`] if it is not the model.
    pub fn open(path: &Path) -> Result<LocalModel, ModelError> {
        let bytes = ModelBytes::map(path).map_err(|source| {
            let (kind, message) = if source.kind() == std::io::ErrorKind::NotFound {
                let message = format!(
                    "no model weights at {}; run `{FETCH_COMMAND}`, or name the file with --model-path",
                    path.display()
                );
                (ModelErrorKind::Missing, message)
            } else {
                let message = format!(
                    "cannot read model weights at {}; check that it is a file this user may read, or name another with --model-path",
                    path.display()
                );
                (ModelErrorKind::Storage, message)
            };
            ModelError::new(kind, message).with_source(source)
        })?;
        LocalModel::load(bytes)
    }

    /// Loads weights that are in memory already, such as a file compiled in with `include_bytes!`.
    ///
    /// # Errors
    /// [`ModelErrorKind::Damaged`] if they are not the model.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<LocalModel, ModelError> {
        LocalModel::load(ModelBytes::Memory(bytes.into()))
    }

    /// Sets how many threads [`embed`](LocalModel::embed) uses. It begins with one for each processor.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> LocalModel {
        self.threads = threads.get();
        self
    }

    fn load(bytes: ModelBytes) -> Result<LocalModel, ModelError> {
        let file = Arc::new(bytes);
        let layout = Layout::parse(&file)?;
        if layout.shape.hidden != DIMENSIONS {
            return Err(ModelError::damaged(format_args!(
                "its vectors have {} dimensions, not {DIMENSIONS}",
                layout.shape.hidden
            )));
        }
        LocalModel::assemble(file, &layout)
    }

    /// Loads what `layout` describes, of any width.
    fn assemble(file: Arc<ModelBytes>, layout: &Layout) -> Result<LocalModel, ModelError> {
        // The tokenizer's tables do not depend on the weights: they are built beside them.
        let (tokenizer, weights) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| Tokenizer::new(Arc::clone(&file), &layout.vocabulary));
            let weights = Weights::load(Arc::clone(&file), layout);
            let tokenizer = tokenizer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (tokenizer, weights)
        });
        Ok(LocalModel {
            tokenizer: tokenizer?,
            weights: weights?,
            bos: layout.vocabulary.bos,
            eos: layout.vocabulary.eos,
            token_limit: MAX_TOKENS.min(layout.shape.positions - 2),
            revision: revision(&fingerprint(&file, layout)),
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        })
    }

    /// Turns texts into vectors of [`DIMENSIONS`] numbers and length 1, in the order of the texts.
    ///
    /// The texts carry their prefix ([`QUERY_PREFIX`] or [`PASSAGE_PREFIX`]) already. Any text has a vector, the empty one
    /// too. The same text gives the same vector up to rounding (about 1e-6) whatever it is embedded together with.
    /// Blocks the calling thread, and takes a thread more for each further processor when there is more than one text:
    /// about 14 ms for one question, 4 ms each in a batch, on a machine of two processors.
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
                vector.ok_or_else(|| ModelError::damaged("it gives vectors that are not finite"))
            })
            .collect()
    }

    /// Counts the tokens of a text, prefix included. Beyond [`MAX_TOKENS`] they are not read.
    pub fn token_count(&self, text: &str) -> usize {
        self.tokenizer.encode(text, usize::MAX).ids.len()
    }

    /// The share of a text's characters, 0 to 1, that the vocabulary cannot represent; spaces are not counted.
    ///
    /// A large share means that the vector says little about the text: a script that is cut from the vocabulary.
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

    /// The piece numbers the network reads for a text: the begin mark, at most [`MAX_TOKENS`] pieces, the end mark.
    pub fn token_ids(&self, text: &str) -> Vec<u32> {
        let encoded = self.tokenizer.encode(text, self.token_limit);
        let mut ids = Vec::with_capacity(encoded.ids.len() + 2);
        ids.push(self.bos);
        ids.extend(encoded.ids);
        ids.push(self.eos);
        ids
    }

    /// The revision of the weights that are loaded: [`REVISION`] for the pinned file and for cuts of its vocabulary,
    /// another one for other weights. Vectors of different revisions must not be compared.
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

/// A digest of samples of every tensor but the word embeddings: 64 bytes from the beginning and the end of each.
///
/// Tells other weights from the pinned ones at no cost, where the digest of the whole file would double the time of a
/// start. Word embeddings are left out because a cut of the vocabulary keeps the rest of the file byte for byte, and with
/// it the vectors. It guards against mistakes, not against forgery.
fn fingerprint(file: &[u8], layout: &Layout) -> String {
    let mut digest = Sha256::new();
    for (name, tensor) in layout.tensors() {
        if name == b"emb.word" {
            continue;
        }
        let bytes = &file[tensor.bytes.clone()];
        let sample = bytes.len().min(64);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes[..sample]);
        digest.update(&bytes[bytes.len() - sample..]);
    }
    hex(&digest.finalize()[..6])
}

fn revision(fingerprint: &str) -> String {
    if fingerprint == PINNED_FINGERPRINT {
        REVISION.to_owned()
    } else {
        format!("{fingerprint}-other")
    }
}

#[cfg(test)]
mod tests;

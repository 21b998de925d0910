//! Where values come from: flag, environment, `.env`, `smart-support.toml`, user file, default; the first that
//! speaks wins, and its origin is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::env::{SETTINGS, Setting, find};
use crate::exit::{Failure, usage};
use crate::settings::files;

/// What keys of the table of prices begin with.
const PRICES: &str = "prices.";

/// Which layer gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    EnvFile(PathBuf, String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile(path, name) => write!(f, "{} {name}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Origin {
    /// Flags and variables are typed for this run; files and defaults are standing.
    pub(crate) fn level(&self) -> u8 {
        match self {
            Self::Flag => 0,
            Self::Environment(_) => 1,
            Self::EnvFile(..) => 2,
            Self::File(_) => 3,
            Self::Default => 5,
        }
    }
}

/// A value and the layer that gave it. Not for `Debug`: it may be secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Every value that was given, resolved.
#[derive(Default)]
pub(crate) struct Layers {
    values: BTreeMap<&'static str, Value>,
    /// USD for a million tokens, by the model's name: the table `[prices]` of the settings files.
    prices: BTreeMap<String, Value>,
    /// Things to say once.
    pub(crate) warnings: Vec<String>,
    /// Files that variables such as `EMBEDDING_API_KEY_FILE` name.
    secret_files: Vec<PathBuf>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Where the standing layers are read from.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// `--config`: must exist.
    pub(crate) config: Option<PathBuf>,
    /// `--env-file`: must exist.
    pub(crate) env_file: Option<PathBuf>,
}

impl Layers {
    /// Resolves every setting. `flags` are pairs of key and value as typed.
    pub(crate) fn read(
        flags: Vec<(&'static str, String)>,
        places: &Places,
    ) -> Result<Self, Failure> {
        let mut layers = Self::default();
        for (key, text) in flags {
            layers.offer(key, text, Origin::Flag);
        }
        let environment =
            |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        layers.offer_variables(&environment, &|name| Origin::Environment(name.to_owned()))?;
        if let Some(EnvFile { path, variables }) = env_file(places)? {
            let lookup = |name: &str| variables.get(name).cloned();
            layers.offer_variables(&lookup, &|name| {
                Origin::EnvFile(path.clone(), name.to_owned())
            })?;
        }
        for path in settings_files(places)? {
            let origin = Origin::File(path.clone());
            for (key, text) in read_settings_file(&path)? {
                match key {
                    FileKey::Setting(key) => layers.offer(key, text, origin.clone()),
                    FileKey::Price(model) => {
                        let origin = origin.clone();
                        layers.prices.entry(model).or_insert(Value { text, origin });
                    }
                }
            }
        }
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                layers.offer(setting.key, default.to_owned(), Origin::Default);
            }
        }
        Ok(layers)
    }

    fn offer(&mut self, key: &'static str, text: String, origin: Origin) {
        self.values.entry(key).or_insert(Value { text, origin });
    }

    fn offer_variables(
        &mut self,
        lookup: &dyn Fn(&str) -> Option<String>,
        origin: &dyn Fn(&str) -> Origin,
    ) -> Result<(), Failure> {
        for setting in SETTINGS {
            for name in setting.variables {
                // An empty variable is an unset one: that is how compose files and CI leave things out.
                if let Some(text) = lookup(name).filter(|text| !text.is_empty()) {
                    self.offer(setting.key, text, origin(name));
                } else if setting.secret {
                    let file = format!("{name}_FILE");
                    if let Some(path) = lookup(&file).filter(|path| !path.is_empty()) {
                        let path = Path::new(&path);
                        self.offer(setting.key, read_secret(&file, path)?, origin(&file));
                        self.warnings.extend(open_to_all(&file, path));
                        self.secret_files.push(path.to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    /// The value of a setting, where anything gives one.
    pub(crate) fn get(&self, key: &'static str) -> Option<&Value> {
        debug_assert!(find(key).is_some(), "{key} is not in the table of settings");
        self.values.get(key)
    }

    /// What the table of prices says of a model.
    pub(crate) fn price_of(&self, model: &str) -> Option<&Value> {
        self.prices.get(model)
    }

    /// The table of prices, by model.
    pub(crate) fn prices(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.prices
            .iter()
            .map(|(model, value)| (model.as_str(), value))
    }

    /// Files that hold one secret each and were read.
    pub(crate) fn secret_files(&self) -> &[PathBuf] {
        &self.secret_files
    }

    /// The value's text.
    pub(crate) fn text(&self, key: &'static str) -> Option<&str> {
        self.get(key).map(|value| value.text.as_str())
    }

    /// The value, read as `T`; the error names setting, value and origin.
    pub(crate) fn parse<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match read(value.text.trim()) {
            Some(read) => Ok(Some(read)),
            None => Err(usage(format!(
                "{key} is {:?} ({}); expected {expected}",
                value.text, value.origin
            ))),
        }
    }

    /// Every setting with its value, in the table's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static Setting, Option<&Value>)> {
        SETTINGS
            .iter()
            .map(|setting| (setting, self.values.get(setting.key)))
    }
}

/// Reads the file that a `NAME_FILE` variable names. People put the key itself there, so what does not lie in a
/// directory that exists is not repeated.
fn read_secret(variable: &str, path: &Path) -> Result<String, Failure> {
    files::read(path)
        .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        .map_err(|error| {
            let is_path = path.parent().is_some_and(|directory| {
                !directory.as_os_str().is_empty() && directory.is_dir()
            });
            usage(if is_path {
                format!("{variable} names {}, which cannot be read: {error}", path.display())
            } else {
                format!("{variable} names a file that cannot be read: {error}; it takes a path, not the secret itself")
            })
        })
}

/// Says when every user of the machine may read a secret's file. A directory of secrets, as containers have, is guarded
/// by being in the container.
fn open_to_all(variable: &str, path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        (mode & 0o004 != 0 && !is_mounted_secret(path)).then(|| {
            let path = path.display();
            format!("{variable} names {path}, which every user may read; run: chmod 600 {path}")
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (variable, path);
        None
    }
}

/// Whether a platform mounted the file: its mode is not ours to change, and nobody else is in the container.
pub(crate) fn is_mounted_secret(path: &Path) -> bool {
    ["/run/secrets", "/var/run/secrets"]
        .iter()
        .any(|given| path.starts_with(given))
}

/// A `.env` file, read.
struct EnvFile {
    path: PathBuf,
    variables: BTreeMap<String, String>,
}

/// The nearest `.env`, upward from the working directory, or the one that was named. Never changes the process's
/// environment, so a variable that is set always wins.
fn env_file(places: &Places) -> Result<Option<EnvFile>, Failure> {
    let path = match &places.env_file {
        Some(path) => path.clone(),
        None => {
            let here = std::env::current_dir().unwrap_or_default();
            match here
                .ancestors()
                .map(|directory| directory.join(".env"))
                .find(|path| path.is_file())
            {
                Some(path) => path,
                None => return Ok(None),
            }
        }
    };
    let unreadable = |error: &dyn fmt::Display| {
        usage(format!(
            "environment file {} cannot be read: {error}",
            path.display()
        ))
    };
    let text = files::read(&path).map_err(|error| unreadable(&error))?;
    let variables = files::variables(&text).map_err(|error| unreadable(&error))?;
    Ok(Some(EnvFile { path, variables }))
}

/// The project's settings file, then the user's.
fn settings_files(places: &Places) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    match &places.config {
        Some(path) if !path.is_file() => {
            return Err(usage(format!(
                "settings file {} does not exist",
                path.display()
            )));
        }
        Some(path) => files.push(path.clone()),
        None => files.push(PathBuf::from("smart-support.toml")),
    }
    if let Some(directory) = user_directory("XDG_CONFIG_HOME", ".config") {
        files.push(directory.join("smart-support").join("smart-support.toml"));
    }
    files.retain(|path| path.is_file());
    Ok(files)
}

/// A directory of the user by the XDG rules.
pub(crate) fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(below_home)))
}

/// What a key of a settings file names.
enum FileKey {
    Setting(&'static str),
    /// The price of a model: its name is anything, so it is in no table of ours.
    Price(String),
}

fn read_settings_file(path: &Path) -> Result<Vec<(FileKey, String)>, Failure> {
    let text = files::read(path).map_err(|error| {
        usage(format!(
            "settings file {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let found = files::settings(&text)
        .map_err(|error| usage(format!("settings file {}: {error}", path.display())))?;
    let mut settings = Vec::new();
    for (key, text) in found {
        if let Some(model) = key.strip_prefix(PRICES) {
            settings.push((FileKey::Price(model.to_owned()), text));
            continue;
        }
        let Some(setting) = find(&key) else {
            let near = nearest(&key, SETTINGS.iter().map(|setting| setting.key));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(usage(format!(
                "settings file {} has an unknown key {}{hint}",
                path.display(),
                key.escape_debug()
            )));
        };
        settings.push((FileKey::Setting(setting.key), text));
    }
    Ok(settings)
}

/// The most similar of some names, where one is similar at all.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, other)| other)
}

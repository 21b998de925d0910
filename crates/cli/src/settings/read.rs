//! Reads single settings out of the layers.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use storage_core::{EmbedText, MetadataPredicate};

use crate::args::{SourceArgs, StorageArgs};
use crate::env;
use crate::exit::{Failure, usage};
use crate::parts;
use crate::settings::{
    ChunkSettings, EmbedderSettings, Layers, PostgresPlace, Provider, RowsPlace, SourceFrom,
    SourceSettings, SpendSettings, StoreLocation, layers::Value, nearest, postgres,
};

/// More numbers per vector than any model gives.
const MOST_DIMENSIONS: u32 = 65_536;

/// A number within a range.
pub(crate) fn number<T: FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// A time such as `30s`, `5m`, `90d`, `400ms`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let count: u64 = text[..digits].parse().ok()?;
    let seconds = |each: u64| count.checked_mul(each).map(Duration::from_secs);
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(count)),
        "" | "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

/// A condition such as `year>=2020`. A value that reads as a number or a truth value is one; quotes keep it a text.
pub(crate) fn predicate(text: &str) -> Result<MetadataPredicate, Failure> {
    MetadataPredicate::parse(text).ok_or_else(|| {
        usage(format!(
            "--filter {text:?} is no condition; write KEY=VALUE, or one of != < <= > >="
        ))
    })
}

/// `--store` > `--storage-backend` with its flags > `STORAGE_BACKEND` > `DATABASE_URL` > SQLite.
pub(super) fn store_location(
    layers: &Layers,
    typed: &StorageArgs,
    warnings: &mut Vec<String>,
) -> Result<StoreLocation, Failure> {
    let database = layers.get(env::DATABASE_URL);
    let passed_over = |winner: &str, warnings: &mut Vec<String>| {
        if let Some(value) = database {
            warnings.push(format!(
                "DATABASE_URL ({}) is passed over: {winner} names the store",
                value.origin
            ));
        }
    };
    let typed_postgres = postgres::typed(typed);
    if let Some(value) = layers.get(env::STORE) {
        passed_over("--store", warnings);
        if let (Some(flag), true) = (typed_postgres, postgres::is_url(&value.text)) {
            return Err(usage(format!(
                "the store is named twice: by a URL ({}) and by {flag}; leave one of them out",
                value.origin
            )));
        }
        return store_url(layers, value, warnings);
    }
    let typed_sqlite = typed.sqlite_path.is_some() && typed.storage_backend.is_none();
    if let (Some(flag), true) = (typed_postgres, typed_sqlite) {
        return Err(usage(format!(
            "two stores are named: --sqlite-path and {flag}; leave one out, or choose with --storage-backend"
        )));
    }
    let backend = match typed_postgres {
        _ if typed_sqlite => Some("sqlite"),
        Some(_) if typed.storage_backend.is_none() => Some("postgres"),
        _ => layers.text(env::STORAGE_BACKEND),
    };
    match (backend, database) {
        (Some("sqlite"), _) => {
            passed_over(
                if typed_sqlite {
                    "--sqlite-path"
                } else {
                    "the storage backend sqlite"
                },
                warnings,
            );
            sqlite_path(layers)
        }
        // The parts of an address beside a whole one: of two servers, which would get the password?
        (Some("postgres" | "postgresql"), Some(url)) => match postgres::named(layers) {
            Some(origin) => {
                passed_over(&origin, warnings);
                postgres::place(layers, None, warnings)
            }
            None if !postgres::is_url(&url.text) => {
                passed_over("the storage backend postgres", warnings);
                postgres::place(layers, None, warnings)
            }
            None => store_url(layers, url, warnings),
        },
        (Some("postgres" | "postgresql"), None) => postgres::place(layers, None, warnings),
        (Some(other), _) => {
            let near = nearest(other, ["sqlite", "postgres"].into_iter());
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            Err(usage(format!(
                "storage backend {other:?} does not exist; there are sqlite and postgres{hint}"
            )))
        }
        (None, Some(value)) => store_url(layers, value, warnings),
        (None, None) => sqlite_path(layers),
    }
}

fn sqlite_path(layers: &Layers) -> Result<StoreLocation, Failure> {
    let Some(value) = layers.get(env::SQLITE_PATH) else {
        return Err(usage("no SQLite path; set SQLITE_DB_PATH or --sqlite-path"));
    };
    Ok(match value.text.as_str() {
        ":memory:" => StoreLocation::SqliteMemory,
        path => StoreLocation::Sqlite(PathBuf::from(path), value.origin.to_string()),
    })
}

pub(super) fn store_url(
    layers: &Layers,
    value: &Value,
    warnings: &mut Vec<String>,
) -> Result<StoreLocation, Failure> {
    let (url, origin) = (value.text.as_str(), &value.origin);
    if postgres::is_url(url) {
        return postgres::place(layers, Some(value), warnings);
    }
    match url.strip_prefix("sqlite:") {
        Some(":memory:") => Ok(StoreLocation::SqliteMemory),
        Some("") => Err(usage(format!(
            "the store URL ({origin}) names no file; write sqlite:PATH"
        ))),
        Some(path) => {
            // sqlite:///abs/path and sqlite://relative are what people bring from elsewhere.
            let path = path.strip_prefix("//").unwrap_or(path);
            Ok(StoreLocation::Sqlite(
                PathBuf::from(path),
                origin.to_string(),
            ))
        }
        // The text may hold a password, so it is not repeated.
        None => Err(usage(format!(
            "the store URL ({origin}) is neither sqlite:PATH nor postgres://…"
        ))),
    }
}

pub(super) fn embedder(layers: &Layers) -> Result<EmbedderSettings, Failure> {
    let given = layers.parse(env::PROVIDER, "local, openai, ollama or hash", |text| {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.name() == text)
    })?;
    let provider = match given {
        Some(provider) => provider,
        None if layers.text(env::API_KEY).is_some() => Provider::OpenAi,
        None if parts::LOCAL_MODEL => Provider::Local,
        None => {
            return Err(usage(
                "no embedder is configured, and this build has no local model; set EMBEDDING_API_KEY and \
                 EMBEDDING_BASE_URL for an API, EMBEDDING_PROVIDER=ollama for Ollama, EMBEDDING_PROVIDER=hash for a \
                 demo without a model, or build with the local one: cargo build --release -p cli --features local-model",
            ));
        }
    };
    embedder_of(layers, provider)
}

/// Numbers per vector, where somebody asks for a number.
pub(super) fn dimensions(layers: &Layers) -> Result<Option<NonZeroU32>, Failure> {
    let dimensions = layers.parse(
        env::DIMENSIONS,
        &format!("a number from 1 to {MOST_DIMENSIONS}"),
        |text| number(text, 1..=MOST_DIMENSIONS),
    )?;
    Ok(dimensions.and_then(NonZeroU32::new))
}

/// A setting that is on or off; off where nothing is said.
pub(super) fn flag(layers: &Layers, key: &'static str) -> Result<bool, Failure> {
    let set = layers.parse(key, "true or false", |text| text.parse().ok())?;
    Ok(set.unwrap_or_default())
}

/// The settings of one provider, whichever was chosen.
pub(super) fn embedder_of(
    layers: &Layers,
    provider: Provider,
) -> Result<EmbedderSettings, Failure> {
    let api_key = layers
        .text(env::API_KEY)
        .map(|key| SecretString::from(key.to_owned()));
    let model = match provider {
        Provider::Ollama => layers
            .text(env::MODEL)
            .or_else(|| layers.text(env::OLLAMA_MODEL)),
        _ => layers.text(env::MODEL),
    };
    let text = |key| layers.text(key).map(ToOwned::to_owned);
    Ok(EmbedderSettings {
        provider,
        model: model.map(ToOwned::to_owned),
        dimensions: dimensions(layers)?,
        base_url: text(env::BASE_URL),
        api_key,
        model_path: text(env::MODEL_PATH).map(PathBuf::from),
        model_url: text(env::MODEL_URL),
        offline: flag(layers, env::OFFLINE)?,
        query_prefix: text(env::QUERY_PREFIX).unwrap_or_default(),
        passage_prefix: text(env::PASSAGE_PREFIX).unwrap_or_default(),
        requests_per_minute: layers.parse(env::REQUESTS_PER_MINUTE, "a number from 1", |text| {
            text.parse::<NonZeroU32>().ok()
        })?,
        timeout: layers
            .parse(env::TIMEOUT, "a time such as 60s", duration)?
            .unwrap_or(Duration::from_secs(60)),
        max_retries: layers
            .parse(env::MAX_RETRIES, "a number from 0 to 100", |text| {
                number(text, 0..=100)
            })?
            .unwrap_or(5),
        longest_wait: layers
            .parse(env::LONGEST_WAIT, "a time such as 60s", duration)?
            .unwrap_or(Duration::from_secs(60)),
        proxy: text(env::PROXY).map(SecretString::from),
        allow_plain_http: flag(layers, env::ALLOW_PLAIN_HTTP)?,
    })
}

/// What a run may spend, and what tokens of that model cost. The price of the model is nearer to the truth than one for
/// all models, unless that was said for this run.
pub(super) fn spend(layers: &Layers, model: &str) -> Result<SpendSettings, Failure> {
    const EXPECTED: &str = "an amount in USD such as 0.50";
    let amount = |text: &str| number(text.trim().trim_start_matches('$'), 0.0..=1e9);
    let money = |key| layers.parse(key, EXPECTED, amount);
    let general = layers.get(env::PRICE);
    let price = match layers.price_of(model) {
        Some(own) if general.is_none_or(|general| own.origin.level() <= general.origin.level()) => {
            let price = amount(&own.text).ok_or_else(|| {
                usage(format!(
                    "prices.{model:?} is {:?} ({}); expected {EXPECTED}",
                    own.text, own.origin
                ))
            })?;
            Some(price)
        }
        _ => money(env::PRICE)?,
    };
    Ok(SpendSettings {
        max_requests: layers.parse(env::MAX_REQUESTS, "a number from 0", |text| {
            text.parse().ok()
        })?,
        max_cost: money(env::MAX_COST)?,
        price,
    })
}

/// Flags before variables before files, and on one level `--faq-path` > `--input` > `FAQ_PATH` > `INPUT_DATASET`; two on
/// one level are an error.
pub(super) fn source(
    layers: &Layers,
    args: &SourceArgs,
    store: &StoreLocation,
) -> Result<Option<SourceSettings>, Failure> {
    let file = source_file(layers)?;
    let data_set = file.is_some_and(|file| {
        layers
            .get(env::INPUT)
            .is_some_and(|input| input.text == file.text)
    });
    let from = match (file, layers.get(env::SOURCE_SQL)) {
        (Some(file), Some(rows)) if file.origin.level() == rows.origin.level() => {
            return Err(usage(format!(
                "two sources are named: {:?} ({}) and {:?} ({}); leave one out",
                file.text, file.origin, rows.text, rows.origin
            )));
        }
        (Some(file), Some(rows)) if file.origin.level() < rows.origin.level() => {
            SourceFrom::File(PathBuf::from(&file.text))
        }
        (_, Some(rows)) => {
            for (flag, given) in [
                ("--sheet", args.sheet.is_some()),
                ("--header-row", args.header_row.is_some()),
            ] {
                if given {
                    return Err(usage(format!(
                        "{flag} is for files, and the source is a table ({}); leave it out",
                        rows.origin
                    )));
                }
            }
            SourceFrom::Rows(Box::new(RowsPlace {
                sql: rows.text.clone(),
                server: Box::new(source_server(layers, store)?),
            }))
        }
        (Some(file), None) => SourceFrom::File(PathBuf::from(&file.text)),
        (None, None) if args.source_url.is_some() => {
            return Err(usage(
                "--source-url names a database and no table; add --source-sql TABLE, or --source-sql \"SELECT …\"",
            ));
        }
        (None, None) => return Ok(None),
    };
    let map = args
        .map
        .iter()
        .map(|pair| match pair.split_once('=') {
            // An empty column switches a field off, so that an id column can be left aside.
            Some((field, column)) if !field.trim().is_empty() => {
                Ok((field.trim().to_owned(), column.trim().to_owned()))
            }
            _ => Err(usage(format!(
                "--map {pair:?} is no pair; write --map question=COLUMN"
            ))),
        })
        .collect::<Result<_, _>>()?;
    let embed_text = embed_text(layers)?;
    Ok(Some(SourceSettings {
        from,
        map,
        sheet: args.sheet.clone(),
        header_row: args.header_row,
        chunking: chunking(layers)?,
        embed_text,
        data_set,
    }))
}

/// How documents are cut.
pub(super) fn chunking(layers: &Layers) -> Result<ChunkSettings, Failure> {
    let count = |key, least| {
        layers.parse(key, "a number up to 32767", |text| {
            number(text, least..=32_767)
        })
    };
    let unit = layers.parse(env::CHUNK_BY, "characters or tokens", |text| match text {
        "characters" => Some(false),
        "tokens" => Some(true),
        _ => None,
    })?;
    Ok(ChunkSettings {
        size: count(env::CHUNK_SIZE, 1)?,
        overlap: count(env::CHUNK_OVERLAP, 0)?,
        tokens: unit.unwrap_or_default(),
    })
}

/// The file that is named, by whoever has the last word.
fn source_file(layers: &Layers) -> Result<Option<&Value>, Failure> {
    Ok(match (layers.get(env::FAQ_PATH), layers.get(env::INPUT)) {
        (Some(faq), Some(input))
            if faq.origin.level() == input.origin.level() && faq.text != input.text =>
        {
            return Err(usage(format!(
                "two sources are named: {:?} ({}) and {:?} ({}); leave one out",
                faq.text, faq.origin, input.text, input.origin
            )));
        }
        (Some(faq), Some(input)) if faq.origin.level() <= input.origin.level() => Some(faq),
        (_, Some(input)) => Some(input),
        (faq, None) => faq,
    })
}

/// The database of a source: by its own URL, else the store's.
fn source_server(layers: &Layers, store: &StoreLocation) -> Result<PostgresPlace, Failure> {
    match (layers.get(env::SOURCE_URL), store) {
        (Some(url), _) if postgres::is_url(&url.text) => postgres::elsewhere(layers, url),
        // The text may hold a password, so it is not repeated.
        (Some(url), _) => Err(usage(format!(
            "the source's URL ({}) is not postgres://…",
            url.origin
        ))),
        (None, StoreLocation::Postgres(place)) => Ok((**place).clone()),
        (None, _) => Err(usage(
            "--source-sql names a table, and no database is named to find it in; pass --source-url \
             postgres://USER@HOST/DATABASE, or set SOURCE_URL",
        )),
    }
}

pub(super) fn embed_text(layers: &Layers) -> Result<Option<EmbedText>, Failure> {
    layers
        .text(env::EMBED_TEXT)
        .map(EmbedText::parse)
        .transpose()
        .map_err(|error| usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("90d"), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(duration("400ms"), Some(Duration::from_millis(400)));
        assert_eq!(duration("soon"), None);
    }

    #[test]
    fn store_urls_have_one_meaning() {
        let store_url = |url: &str| {
            let text = url.to_owned();
            let origin = Origin::Flag;
            store_url(&Layers::default(), &Value { text, origin }, &mut Vec::new())
        };
        let path = |url: &str| match store_url(url) {
            Ok(StoreLocation::Sqlite(path, _)) => path.display().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(path("sqlite:data/a.db"), "data/a.db");
        assert_eq!(path("sqlite:///srv/a.db"), "/srv/a.db");
        assert_eq!(
            store_url("sqlite::memory:").unwrap(),
            StoreLocation::SqliteMemory
        );
        let refused = store_url("mysql://user:secret@host/db")
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }
}

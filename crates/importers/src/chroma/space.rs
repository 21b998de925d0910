//! Which distance a collection was made for. The first place that says so is right; the last one says `l2` whatever is
//! true.

use serde_json::Value;
use storage_core::Metric;

/// All places where the distance may be written.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    /// `collections.schema_str`.
    pub(super) schema: Option<&'a Value>,
    /// `collections.config_json_str`.
    pub(super) config: Option<&'a Value>,
    /// `hnsw:space` of the collection.
    pub(super) collection: Option<&'a str>,
    /// `hnsw:space` of its vector segment.
    pub(super) segment: Option<&'a str>,
}

/// The distance.
///
/// # Errors
/// The word, if it is none of those that Chroma knows.
pub(super) fn detect(places: &Places<'_>) -> Result<Metric, String> {
    let at = |json: Option<&Value>, pointer: &str| {
        json.and_then(|json| json.pointer(pointer))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let schema = "/keys/#embedding/float_list/vector_index/config/space";
    let word = at(places.schema, schema)
        .or_else(|| at(places.config, "/vector_index/hnsw/space"))
        .or_else(|| places.collection.map(str::to_owned))
        .or_else(|| places.segment.map(str::to_owned))
        .or_else(|| at(places.config, "/hnsw_configuration/space"));
    named(word.as_deref().unwrap_or("l2"))
}

/// The distance of a name.
///
/// # Errors
/// The word, if it is none of those that Chroma knows.
pub(super) fn named(word: &str) -> Result<Metric, String> {
    match word {
        "l2" => Ok(Metric::Euclidean),
        "cosine" => Ok(Metric::Cosine),
        "ip" => Ok(Metric::InnerProduct),
        other => Err(other.chars().take(80).collect()),
    }
}

/// What is said of the function that made the vectors, for a note: Chroma does not keep the model itself.
pub(super) fn embedding_function(places: &Places<'_>) -> Option<String> {
    let schema = "/keys/#embedding/float_list/vector_index/config/embedding_function";
    let function = [
        places.schema.and_then(|json| json.pointer(schema)),
        places
            .config
            .and_then(|json| json.pointer("/embedding_function")),
    ]
    .into_iter()
    .flatten()
    .find(|function| function.get("name").is_some())?;
    let short = |text: &str| {
        text.chars()
            .filter(|char| !char.is_control())
            .take(80)
            .collect::<String>()
    };
    let name = short(function.get("name")?.as_str()?);
    let model = ["model_name", "model"]
        .into_iter()
        .find_map(|key| function.pointer(&format!("/config/{key}"))?.as_str());
    Some(match model {
        Some(model) => format!(
            "its embedding function is `{name}` with model `{}`",
            short(model)
        ),
        None => format!("its embedding function is `{name}`"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_place_that_says_so_is_right() {
        let schema = json!({"keys": {"#embedding": {"float_list": {"vector_index": {"config": {"space": "ip"}}}}}});
        let new = json!({"vector_index": {"hnsw": {"space": "cosine"}}});
        let old = json!({"hnsw_configuration": {"space": "l2"}});
        let empty = json!({});
        let detect = |schema, config, collection, segment| {
            detect(&Places {
                schema,
                config,
                collection,
                segment,
            })
        };
        use Metric::{Cosine, Euclidean, InnerProduct};
        assert_eq!(
            detect(Some(&schema), Some(&new), Some("l2"), Some("l2")),
            Ok(InnerProduct)
        );
        assert_eq!(
            detect(Some(&empty), Some(&new), Some("l2"), None),
            Ok(Cosine)
        );
        assert_eq!(
            detect(None, Some(&old), Some("cosine"), Some("ip")),
            Ok(Cosine)
        );
        assert_eq!(detect(None, Some(&old), None, Some("ip")), Ok(InnerProduct));
        assert_eq!(detect(None, Some(&old), None, None), Ok(Euclidean));
        assert_eq!(detect(None, Some(&empty), None, None), Ok(Euclidean));
        assert_eq!(
            detect(None, None, Some("hamming"), None),
            Err("hamming".to_owned())
        );
    }
}

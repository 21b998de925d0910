//! Settings files and `.env` files.
//!
//! The product's `cli` is a binary without a library, and stays one: this compiles the very file that parses these
//! texts there. It knows the formats only and refers to nothing else of its crate, so no copy can go stale.

#[allow(dead_code, reason = "reading a file is left to the product")]
#[path = "../../crates/cli/src/settings/files.rs"]
mod files;

use storage_core::EmbedText;

/// Takes the bytes for a settings file, for a `.env` file, and every value in them for an embed-text recipe.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // What the product would not read, it does not parse either.
    if text.len() > files::LARGEST {
        return;
    }
    let mut values = Vec::new();
    match files::settings(&text) {
        Ok(found) => {
            for (key, value) in found {
                assert!(!key.is_empty() || !value.is_empty());
                values.push(value);
            }
        }
        Err(message) => assert!(!message.is_empty()),
    }
    match files::variables(&text) {
        Ok(variables) => {
            let total: usize = variables.values().map(String::len).sum();
            assert!(total <= files::LARGEST, "the values take {total} bytes");
            values.extend(variables.into_values());
        }
        Err(message) => {
            // The line itself may be a key and is never quoted.
            let known = [
                "a line is not NAME=VALUE",
                "a value with $NAME",
                "the values are",
            ];
            assert!(
                known.iter().any(|known| message.starts_with(known)),
                "{message}"
            );
        }
    }
    for value in values {
        if let Ok(recipe) = EmbedText::parse(&value) {
            recipe.columns().for_each(drop);
        }
    }
}

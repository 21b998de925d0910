//! Who may ask: keys, known by their hashes only.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Searches and looks.
    Read,
    /// Changes what is stored, and looks behind the scenes.
    Admin,
}

/// One key: a name for the log, its role, and its hash.
#[derive(Clone)]
pub struct ApiKey {
    name: String,
    role: Role,
    hash: [u8; 32],
}

impl ApiKey {
    /// Hashes a key and forgets it.
    #[must_use]
    pub fn new(name: impl Into<String>, role: Role, key: &SecretString) -> Self {
        Self {
            name: name.into(),
            role,
            hash: hash(key.expose_secret()),
        }
    }

    /// A key of which only the hash was kept: what [`ApiKey::hash_of`] gave, in hexadecimal.
    ///
    /// # Errors
    /// When it is not 64 hexadecimal digits.
    pub fn from_hash(
        name: impl Into<String>,
        role: Role,
        hash: &str,
    ) -> Result<Self, blake3::HexError> {
        Ok(Self {
            name: name.into(),
            role,
            hash: *blake3::Hash::from_hex(hash)?.as_bytes(),
        })
    }

    /// What is to be kept of a key.
    #[must_use]
    pub fn hash_of(key: &SecretString) -> String {
        blake3::Hash::from_bytes(hash(key.expose_secret()))
            .to_hex()
            .to_string()
    }

    /// Its name in the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it opens.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Every key there is. Without any, everybody may do everything: whoever composes the service sees to it that only this
/// machine can reach it then.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    /// Takes the keys.
    #[must_use]
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that this is, if it is one. Every key is compared, in full, whatever the outcome: how long it takes says
    /// nothing.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<&ApiKey> {
        let presented = hash_bytes(presented);
        let mut found = u64::MAX;
        for (place, key) in (0u64..).zip(&self.0) {
            let equal: Choice = key.hash.ct_eq(&presented);
            found = u64::conditional_select(&found, &place, equal);
        }
        self.0.get(usize::try_from(found).unwrap_or(usize::MAX))
    }
}

fn hash(key: &str) -> [u8; 32] {
    hash_bytes(key.trim().as_bytes())
}

/// Keyed by its purpose, so that it is of no use as a hash of anything else.
fn hash_bytes(key: &[u8]) -> [u8; 32] {
    blake3::derive_key("smart-support 2026 API key of the service", key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_text_or_by_its_hash_alone() {
        let secret = SecretString::from("one");
        let other = SecretString::from("two");
        let keys = ApiKeys::new(vec![
            ApiKey::new("reader", Role::Read, &secret),
            ApiKey::from_hash("operator", Role::Admin, &ApiKey::hash_of(&other)).unwrap(),
        ]);
        let name = |text: &str| keys.find(text.as_bytes()).map(ApiKey::name);
        assert_eq!(name("one"), Some("reader"));
        assert_eq!(name("two"), Some("operator"));
        assert_eq!(name("on"), None);
        assert_eq!(name(""), None);
        assert!(!format!("{keys:?}").contains("one"));
    }
}

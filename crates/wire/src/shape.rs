//! What a shape derives in a build that describes it.

/// Derives what a shape needs.
macro_rules! shape {
    ($($item:item)*) => {
        $(#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)] $item)*
    };
}

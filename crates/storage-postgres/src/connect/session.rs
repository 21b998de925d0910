//! What a session is set to. Connecting sets nothing, and what a transaction depends on is said at its beginning, in one
//! message: a session may belong to whoever has the next transaction, as behind pgbouncer.

use std::time::Duration;

use crate::options::PostgresOptions;

/// Statements for a session that is known to be ours alone.
pub(crate) fn session_settings(options: &PostgresOptions) -> String {
    let mut settings = statements("SET", options, None);
    // The server, too, notices a client that is gone: else the writer's lock would outlive a machine that lost power.
    settings.push_str(
        "; SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
    );
    settings
}

/// Statements for the beginning of one transaction, in a database whose pgvector is in the schema `extension`.
pub(crate) fn local_settings(options: &PostgresOptions, extension: &str) -> String {
    statements("SET LOCAL", options, Some(extension))
}

fn statements(set: &str, options: &PostgresOptions, extension: Option<&str>) -> String {
    let milliseconds = |time: Duration| time.as_millis().min(i32::MAX as u128);
    let patience = milliseconds(options.statement_timeout);
    format!(
        "{set} search_path = {}; {set} statement_timeout = {patience}; {set} lock_timeout = {}; \
         {set} idle_in_transaction_session_timeout = {patience}",
        search_path(options.schema(), extension),
        // Zero would wait for ever.
        milliseconds(options.wait).max(1),
    )
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Where names are looked up: the store's schema, then pgvector's. Temporary tables last, so that nobody's stand in
/// front of ours.
pub(crate) fn search_path(schema: &str, extension: Option<&str>) -> String {
    let mut path = quoted(schema);
    for other in extension.into_iter().filter(|other| *other != schema) {
        path.push_str(", ");
        path.push_str(&quoted(other));
    }
    path.push_str(", pg_temp");
    path
}

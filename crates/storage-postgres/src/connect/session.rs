//! What a session is set to. Where a session belongs to whoever has the next transaction, the same is said in each.

use std::time::Duration;

use crate::options::{DEFAULT_SCHEMA, PostgresOptions};

/// How long a transaction may stand open with nobody asking: a reader that was stopped must not hold vacuum up for ever.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(300);

/// Statements for a session that is ours alone.
pub(crate) fn session_settings(options: &PostgresOptions) -> String {
    let mut settings = statements("SET", options);
    // The server, too, notices a client that is gone: else the writer's lock would outlive a machine that lost power.
    settings.push_str(
        "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;",
    );
    settings
}

/// Statements for the beginning of one transaction.
pub(crate) fn local_settings(options: &PostgresOptions) -> String {
    statements("SET LOCAL", options)
}

fn statements(set: &str, options: &PostgresOptions) -> String {
    let milliseconds = |time: Duration| time.as_millis().min(i32::MAX as u128);
    let mut path = quoted(&options.schema);
    if options.schema != DEFAULT_SCHEMA {
        path.push_str(", public");
    }
    format!(
        "{set} search_path = {path}; {set} statement_timeout = {}; {set} lock_timeout = {}; \
         {set} idle_in_transaction_session_timeout = {}; {set} TimeZone = 'UTC'; {set} extra_float_digits = 1; \
         {set} client_encoding = 'UTF8';",
        milliseconds(options.statement_timeout),
        // Zero would wait for ever.
        milliseconds(options.wait).max(1),
        milliseconds(IDLE_IN_TRANSACTION),
    )
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

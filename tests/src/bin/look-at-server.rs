//! Asks whether the server of `TEST_DATABASE_URL` will do for tests, in a database that is dropped again; prints the
//! versions of PostgreSQL and pgvector, a line each.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool: its terminal output is its result"
)]

use std::process::ExitCode;

use integration_tests::postgres::{Client, TestDatabase, TestServer};

fn main() -> ExitCode {
    match look() {
        Ok([postgres, pgvector]) => {
            println!("{postgres}\n{pgvector}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn look() -> Result<[String; 2], String> {
    let server = TestServer::named().ok_or("TEST_DATABASE_URL is not set")?;
    let client = Client::try_connect(&server.url)
        .map_err(|error| format!("cannot connect without TLS: {error}"))?;
    let may =
        client.scalar("select rolsuper or rolcreatedb from pg_roles where rolname = current_user");
    if may != "t" {
        return Err("its role may not create databases: alter role NAME createdb".to_owned());
    }
    let offered =
        client.rows("select default_version from pg_available_extensions where name = 'vector'");
    if offered.is_empty() {
        return Err(
            "pgvector is not installed there: create extension vector would fail".to_owned(),
        );
    }
    let database = TestDatabase::on(server);
    let installed = database
        .client()
        .scalar("select extversion from pg_extension where extname = 'vector'");
    Ok([client.scalar("show server_version"), installed])
}

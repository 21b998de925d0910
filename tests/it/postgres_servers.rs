//! What other tests rely on: a database of their own, a server that can be killed, roles that get in by their own way.

use integration_tests::postgres::{
    Client, PLAIN_ROLE, PrivateServer, Shutdown, TLS_ROLE, TestDatabase,
};

#[test]
fn a_database_is_a_tests_own_and_gone_afterwards() {
    let Some(first) = TestDatabase::create() else {
        return;
    };
    let second = TestDatabase::create().unwrap();
    first.client().run("create table t (v vector(3))");
    let others = second.client();
    assert_eq!(
        others.scalar("select count(*) from pg_tables where tablename = 't'"),
        "0"
    );
    others.run("create table t (v vector(3))");

    let exists = format!(
        "select count(*) from pg_database where datname = '{}'",
        first.name()
    );
    assert_eq!(others.scalar(&exists), "1");
    // A connection that a test forgot does not keep it.
    let forgotten = first.client();
    drop(first);
    assert_eq!(others.scalar(&exists), "0");
    assert!(forgotten.try_run("select 1").is_err());
}

#[test]
fn a_database_without_pgvector_can_be_had_too() {
    let Some(database) = TestDatabase::without_pgvector() else {
        return;
    };
    let extensions = database
        .client()
        .scalar("select count(*) from pg_extension where extname = 'vector'");
    assert_eq!(extensions, "0");
}

#[test]
fn versions_are_those_of_the_server() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let client = database.client();
    let version = client.scalar("show server_version");
    assert_eq!(
        version.split(' ').next(),
        Some(database.server().version.as_str())
    );
    let extension = client.scalar("select extversion from pg_extension where extname = 'vector'");
    assert_eq!(extension, database.server().pgvector_version);
}

#[test]
fn roles_get_in_by_their_own_way_only() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    // A server that somebody named has no such roles.
    if database.server().template.is_none() {
        return;
    }
    let plain = Client::connect(&database.url_as(PLAIN_ROLE));
    plain.run("create table t (v vector(3))");
    let refused = Client::try_connect(&database.url_as(TLS_ROLE)).unwrap_err();
    let said = refused.as_db_error().unwrap().message();
    assert!(said.starts_with("pg_hba.conf rejects connection"), "{said}");
}

#[test]
fn a_killed_server_has_what_it_confirmed_on_the_same_port() {
    let Some(mut server) = PrivateServer::start() else {
        return;
    };
    let url = server.create_database("kept");
    let client = Client::connect(&url);
    client.run("create table t (n int); insert into t select generate_series(1, 1000)");
    client.run("begin; insert into t values (0)");
    server.kill9();
    server.start_again();
    assert!(client.try_run("commit").is_err());
    assert_eq!(
        Client::connect(&url).scalar("select count(*) from t"),
        "1000"
    );
    assert!(
        server.log().contains("was not properly shut down"),
        "{}",
        server.log()
    );

    server.restart();
    server.stop(Shutdown::Immediate);
    assert!(Client::try_connect(&url).is_err());
    server.start_again();
    assert_eq!(
        Client::connect(&url).scalar("select count(*) from t"),
        "1000"
    );
}

#[test]
fn a_server_of_a_test_leaves_nothing() {
    let Some(server) = PrivateServer::start() else {
        return;
    };
    let data = server.cluster().data();
    let pid = server.cluster().running().unwrap();
    assert!(postgres_harness::is_server_of(pid, &data));
    drop(server);
    assert!(!data.exists());
    assert!(!postgres_harness::is_server_of(pid, &data));
}

//! Every way to be refused names its step, its place and what to do; and no password comes along.

use std::time::Duration;

use crate::server::url;
use storage_core::{StoreError, StoreErrorKind};
use storage_postgres::{PostgresOptions, RootCertificates, SslMode, Step, TargetSession, examine};

fn options() -> Option<PostgresOptions> {
    url().map(|url| PostgresOptions::parse(&url).unwrap())
}

async fn refused(options: &PostgresOptions) -> StoreError {
    let error = examine(options)
        .await
        .map(|server| server.version)
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(!text.contains("s3cr3t"), "{text}");
    error
}

fn says(error: &StoreError, kind: StoreErrorKind, expected: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is not in: {text}");
    }
}

const WRONG: StoreErrorKind = StoreErrorKind::Configuration;
const AWAY: StoreErrorKind = StoreErrorKind::Unavailable;

#[tokio::test]
async fn a_server_that_lets_us_in_says_what_it_is() {
    let Some(options) = options() else { return };
    let server = examine(&options).await.unwrap();
    assert!(
        server
            .version
            .starts_with(|char: char| char.is_ascii_digit()),
        "{server:?}"
    );
    assert!(!server.standby);
    if let Some(extension) = server.extension.unwrap() {
        assert!(extension.version.starts_with("0."), "{extension:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_the_look_up() {
    let options = PostgresOptions::parse("postgres://u:s3cr3t@no-such-host.invalid/d").unwrap();
    let error = refused(&options).await;
    says(
        &error,
        AWAY,
        &["(DNS)", "no-such-host.invalid:5432", "getent hosts"],
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_tcp() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let options =
        PostgresOptions::parse(&format!("postgres://u:s3cr3t@127.0.0.1:{port}/d")).unwrap();
    let error = refused(&options).await;
    says(
        &error,
        AWAY,
        &["refused (TCP)", &format!("127.0.0.1:{port}"), "pg_isready"],
    );
}

#[tokio::test]
async fn a_listener_that_says_nothing_ends_with_the_timeout() {
    // The kernel accepts for a listener that never does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = PostgresOptions::parse(&format!("postgres://u:s3cr3t@127.0.0.1:{port}/d"))
        .unwrap()
        .with_connect_timeout(Duration::from_millis(300));
    let error = tokio::time::timeout(Duration::from_secs(30), refused(&options))
        .await
        .unwrap();
    says(
        &error,
        AWAY,
        &["accepted and nothing came back", "connect_timeout"],
    );
}

#[tokio::test]
async fn a_listener_that_hangs_up_is_no_postgres() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || drop(listener.accept()));
    let options =
        PostgresOptions::parse(&format!("postgres://u:s3cr3t@127.0.0.1:{port}/d")).unwrap();
    let error = refused(&options).await;
    says(&error, AWAY, &["accepted and cut", "is no PostgreSQL"]);
    server.join().unwrap();
}

#[tokio::test]
async fn a_directory_without_a_socket_is_named() {
    let options = PostgresOptions::parse("host=/nowhere port=7 user=u password=s3cr3t").unwrap();
    let error = refused(&options).await;
    says(
        &error,
        AWAY,
        &["no such socket", "/nowhere/.s.PGSQL.7", "POSTGRES_HOST"],
    );
}

#[tokio::test]
async fn a_wrong_password_is_the_login() {
    let Some(options) = options() else { return };
    let error = refused(&options.with_password("s3cr3t".to_owned().into())).await;
    says(
        &error,
        WRONG,
        &[
            "refuses the password of user",
            "(authentication)",
            "psql -h",
        ],
    );
}

#[tokio::test]
async fn no_password_is_not_a_wrong_one() {
    let Some(url) = url() else { return };
    let error = refused(&PostgresOptions::parse(&without_password(&url)).unwrap()).await;
    says(&error, WRONG, &["there is none", "; set POSTGRES_PASSWORD"]);
}

/// The URL of the tests without what stands between the colon and the `@`.
fn without_password(url: &str) -> String {
    let (before, place) = url.rsplit_once('@').unwrap();
    let user = before.rsplit_once(':').map_or(before, |(user, _)| user);
    format!("{user}@{place}")
}

#[tokio::test]
async fn an_unknown_database_is_named_with_the_command_that_makes_it() {
    let Some(options) = options() else { return };
    let error = refused(&options.with_database("no such database")).await;
    says(
        &error,
        WRONG,
        &["no database \"no such database\"", "createdb -h"],
    );
}

#[tokio::test]
async fn a_setting_the_server_refuses_is_a_setting() {
    let Some(options) = options() else { return };
    let error = refused(&options.with_url("options='-c no_such_setting=1'").unwrap()).await;
    says(&error, WRONG, &["options="]);
}

#[tokio::test]
async fn the_next_host_is_asked_when_one_is_away_or_of_the_wrong_sort() {
    let Some(options) = options() else { return };
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (host, port) = place(&options);
    let two = format!("host=127.0.0.1,{host} port={gone},{port}");
    let both = options.clone().with_url(&two).unwrap();
    examine(&both.clone().with_target_session(TargetSession::Primary))
        .await
        .unwrap();
    examine(
        &both
            .clone()
            .with_target_session(TargetSession::PreferStandby),
    )
    .await
    .unwrap();
    let error = refused(&both.with_target_session(TargetSession::Standby)).await;
    says(
        &error,
        AWAY,
        &["none of the 2 servers", "refused (TCP)", "not standby"],
    );
}

/// Host and port of the first server, off the line people see.
fn place(options: &PostgresOptions) -> (String, String) {
    let text = options.describe();
    let place = text.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    let (host, port) = place.rsplit_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

/// Whether the server of the tests speaks TLS, and the files of the authority that signed for it and of another one.
fn certificates() -> Option<(String, String)> {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (
        text("TEST_PG_TLS").as_deref(),
        text("TEST_PG_CA"),
        text("TEST_PG_BAD_CA"),
    ) {
        (Some("1"), Some(ca), Some(other)) => Some((ca, other)),
        _ => None,
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_when_tls_is_wanted() {
    let Some(options) = options() else { return };
    if certificates().is_some() {
        return; // The server has TLS: `a_certificate_is_checked_as_the_mode_says` is its test.
    }
    let error = refused(&options.clone().with_ssl_mode(SslMode::VerifyFull)).await;
    says(&error, WRONG, &["does not support TLS", "sslmode=disable"]);
    // On this machine nobody stands in between: without a word, the connection is made.
    assert_eq!(examine(&options).await.unwrap().tls, None);
}

#[tokio::test]
async fn a_certificate_is_checked_as_the_mode_says() {
    let Some(options) = options() else { return };
    let Some((ca, other)) = certificates() else {
        return; // The server has no TLS: `a_server_without_tls_is_refused_when_tls_is_wanted` is its test.
    };
    let with = |mode, file: &str| {
        options
            .clone()
            .with_ssl_mode(mode)
            .with_ssl_root_cert(RootCertificates::File(file.into()))
    };
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        let server = examine(&with(mode, &ca)).await.unwrap();
        assert!(
            server
                .tls
                .is_some_and(|version| version.starts_with("TLSv1.")),
            "{mode:?}"
        );
        let error = refused(&with(mode, &other)).await;
        says(
            &error,
            WRONG,
            &["signed by none of the authorities in sslrootcert (TLS)"],
        );
        let error = refused(&options.clone().with_ssl_mode(mode)).await;
        says(
            &error,
            WRONG,
            &[
                "an authority this machine does not know (TLS)",
                "sslrootcert=FILE",
            ],
        );
    }
    // The same server by an address that its certificate does not name.
    let (_, port) = place(&options);
    let elsewhere = format!("host=db.invalid hostaddr=127.0.0.1 port={port}");
    let named = |mode| with(mode, &ca).with_url(&elsewhere).unwrap();
    let error = refused(&named(SslMode::VerifyFull)).await;
    says(&error, WRONG, &["for another name (TLS)", "db.invalid"]);
    examine(&named(SslMode::VerifyCa)).await.unwrap();
    // In so many words, anyone will do.
    let anyone = options
        .clone()
        .with_ssl_mode(SslMode::Require)
        .with_insecure_tls(true);
    assert!(examine(&anyone).await.unwrap().tls.is_some());
    // Without a word, TLS is used where it is offered.
    assert!(examine(&options).await.unwrap().tls.is_some());
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_without_tls_says_so() {
    let Some(options) = options() else { return };
    if certificates().is_none() {
        return; // A server without TLS cannot ask for it.
    }
    // A role that the test server lets in over TLS only.
    let plain = options.with_user("tls").with_ssl_mode(SslMode::Disable);
    let error = refused(&plain).await;
    says(
        &error,
        WRONG,
        &[
            "lets nobody in without TLS (pg_hba.conf)",
            "sslmode=verify-full",
        ],
    );
    assert_eq!(Step::of(&error), Some(Step::Login));
}

#[tokio::test]
async fn a_command_that_is_suggested_can_be_pasted() {
    let Some(options) = options() else { return };
    let error = refused(&options.with_database("it's; rm -rf")).await;
    says(&error, WRONG, &[r"'it'\''s; rm -rf'`, or name another"]);
}

#[tokio::test]
async fn a_password_is_looked_up_for_its_host() {
    let Some(url) = url() else { return };
    let options = PostgresOptions::parse(&without_password(&url)).unwrap();
    let (before, _) = url.rsplit_once('@').unwrap();
    let password = before.rsplit_once(':').map_or("", |(_, password)| password);
    let (host, port) = place(&options);
    let file = format!("elsewhere:*:*:*:s3cr3t\n{host}:{port}:*:*:{password}\n");
    let options = options.with_password_file(storage_postgres::PasswordFile::parse(&file));
    examine(&options).await.unwrap();
}

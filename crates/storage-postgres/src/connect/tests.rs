use super::*;
use crate::options::RootCertificates;

#[test]
fn only_this_machine_is_spoken_to_without_a_certificate_that_was_checked() {
    let of = |url: &str| {
        let options = PostgresOptions::parse(url).unwrap();
        protection(&options, &options.endpoints[0])
    };
    let full = Protection::Named(SslMode::VerifyFull);
    assert_eq!(of("postgres://u@db.example/d"), full);
    assert_eq!(of("postgres://u@10.1.2.3/d"), full);
    assert_eq!(of("postgres://u@localhost/d"), Protection::Offered);
    assert_eq!(of("postgres://u@127.0.0.1/d?sslrootcert=system"), full);
    assert_eq!(
        of("postgres://u@127.0.0.1/d?sslmode=require"),
        Protection::Named(SslMode::Require)
    );
    assert_eq!(
        of("postgres://u@db.example/d?sslmode=disable"),
        Protection::None
    );
    assert_eq!(
        of("postgres://u@%2Ftmp/d?sslmode=verify-full"),
        Protection::None
    );
    assert_eq!(
        of("postgres://u@db.example/d?insecure-tls=true"),
        Protection::Named(SslMode::Require)
    );
    assert!(
        Tls::new(
            &PostgresOptions::parse("postgres://u@h/d?insecure-tls=true&sslmode=verify-ca")
                .unwrap()
        )
        .is_err()
    );
}

#[test]
fn a_file_without_certificates_is_named() {
    for (path, expected) in [
        ("/nowhere/ca.pem", "cannot be read"),
        ("/dev/null", "holds none"),
    ] {
        let options = PostgresOptions::parse("postgres://u@db.example/d")
            .unwrap()
            .with_ssl_root_cert(RootCertificates::File(path.into()));
        let error = pool(&options).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Configuration);
        assert!(
            error.to_string().contains(expected) && error.to_string().contains(path),
            "{error}"
        );
    }
}

#[test]
fn a_schema_comes_before_public_and_is_quoted() {
    let options = PostgresOptions::new()
        .with_schema("Shop-1")
        .unwrap()
        .with_wait(Duration::ZERO);
    let settings = local_settings(&options, "public");
    assert!(
        settings.starts_with("SET LOCAL search_path = \"Shop-1\", \"public\", pg_temp; "),
        "{settings}"
    );
    assert!(
        settings.contains("SET LOCAL lock_timeout = 1;"),
        "{settings}"
    );
    assert!(
        session_settings(&PostgresOptions::new())
            .contains("SET search_path = \"public\", pg_temp;")
    );
}

#[tokio::test]
async fn an_error_of_ours_travels_through_the_pool() {
    let options = PostgresOptions::new();
    let pool = pool(&options).unwrap();
    let error = pool.get().await.unwrap_err();
    let error = pool_failure(&options, error);
    assert_eq!(error.kind(), StoreErrorKind::Configuration);
    assert!(error.to_string().contains("no user is named"), "{error}");
}

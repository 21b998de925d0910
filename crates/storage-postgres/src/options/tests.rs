use secrecy::ExposeSecret;

use super::*;

fn refused(url: &str) -> String {
    PostgresOptions::parse(url).expect_err(url).to_string()
}

#[test]
fn a_url_says_where_and_who() {
    let check = |url: &str, expected: &str| {
        assert_eq!(
            PostgresOptions::parse(url).unwrap().describe(),
            expected,
            "{url}"
        );
    };
    check("postgres://u:p@h/d", "postgres://u@h:5432/d");
    check("postgresql://u@h:6543/d", "postgres://u@h:6543/d");
    check("postgres://u@h", "postgres://u@h:5432/u");
    check("postgres://", "postgres://localhost:5432");
    check("postgres://u@[::1]:5433/d", "postgres://u@[::1]:5433/d");
    check("postgres://u@a:1,b:2,c/d", "postgres://u@a:1,b:2,c:5432/d");
    check("postgres://u@a,b/d?port=7", "postgres://u@a:7,b:7/d");
    check(
        "postgres://%2Frun%2Fpostgresql/d?user=u",
        "postgres://u@/d?host=/run/postgresql/.s.PGSQL.5432",
    );
    check(
        "postgres:///d?host=/tmp&port=6&user=u",
        "postgres://u@/d?host=/tmp/.s.PGSQL.6",
    );
    check("postgres://u%40x@h/d%2Fe", "postgres://u%40x@h:5432/d%2Fe");
    check(
        "postgres://u@h/d?schema=Shop",
        "postgres://u@h:5432/d?schema=Shop",
    );
    check(
        "host=h user=u dbname='a b' port = 3",
        "postgres://u@h:3/a%20b",
    );
    check(
        "host=h user=u password='it\\'s' dbname=d",
        "postgres://u@h:5432/d",
    );
}

#[test]
fn a_password_is_decoded_and_never_shown() {
    let check = |url: &str, expected: &str| {
        let options = PostgresOptions::parse(url).unwrap();
        assert_eq!(
            options.password.as_ref().unwrap().expose_secret(),
            expected,
            "{url}"
        );
        let shown = format!("{options:?} {}", options.describe());
        assert!(!shown.contains(expected), "{shown}");
    };
    check("postgres://u:geheim@h/d", "geheim");
    check("postgres://u:p%40ss%2Fw%3Ard@h/d", "p@ss/w:rd");
    check("postgres://u:a:b@h/d", "a:b");
    check(
        "postgres://u:%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C@h/d",
        "пароль",
    );
    check("postgres://u@h/d?password=s%26t", "s&t");
    check("host=h user=u password='it\\'s \\\\'", "it's \\");
}

#[test]
fn a_password_that_breaks_the_url_is_shown_as_it_is_written() {
    let check = |password: &str, expected: &str| {
        let url = format!("postgres://me:{password}@db.example:5432/shop?sslmode=require");
        let message = refused(&url);
        assert!(message.contains(expected), "{password}: {message}");
        assert!(
            !message.contains("Zw7k") && !message.contains("Qx9"),
            "{message}"
        );
        assert!(message.contains("@db.example:5432/shop"), "{message}");
    };
    check("Zw7k@Qx9", "postgres://me:***%40***@");
    check("Zw7k/Qx9", "postgres://me:***%2F***@");
    check("Zw7k#Qx9", "postgres://me:***%23***@");
    check("Zw7k?Qx9", "postgres://me:***%3F***@");
    check("Zw7k%Qx9", "postgres://me:***%25***@");
    check("Zw7k@Qx9:Zw7k/Qx9", "postgres://me:***%40***%3A***%2F***@");
    check("Zw7k%", "% as %25");
    check("12/Qx9", "/ as %2F");
    check("@@Zw7k", "postgres://me:%40%40***@");
    check(
        "Zw7k:Qx9@",
        "@ as %40, : as %3A".split(", ").next().unwrap(),
    );
}

#[test]
fn what_is_wrong_in_a_url_is_named_without_repeating_it() {
    let check = |url: &str, expected: &str| {
        let message = refused(url);
        assert!(message.contains(expected), "{url}: {message}");
        assert!(!message.contains("geheim"), "{message}");
    };
    check("mysql://u:geheim@h/d", "begins with postgres://");
    check("postgres://u:geheim@h:port/d", "no number from 1 to 65535");
    check("postgres://u:geheim@h:0/d", "no number from 1 to 65535");
    check("postgres://u:geheim@[::1/d", "closing bracket");
    check("postgres://u@h/d?sslmode=prefer", "sslmode=verify-full");
    check("postgres://u@h/d?sslmode=on", "there are disable");
    check("postgres://u@h/d?ssl-mode=require", "did you mean sslmode?");
    check("postgres://u@h/d?sslkey=k", "client certificates");
    check("postgres://u@h/d?geheim", "has no value");
    check("postgres://u@h/d?connect_timeout=0", "from 1 to 3600");
    check(
        "postgres://u@h/d?target_session_attrs=master",
        "prefer-standby",
    );
    check("postgres://u@a,b/d?port=1,2,3", "2 hosts and 3 ports");
    check("postgres://u@h/%FF", "no UTF-8");
    check("postgres://u@h/%00", "zero byte");
    check("host=h user=u password='geheim", "cut off");
    check("postgres://u@h/d?schema=pg_x", "--postgres-schema");
}

#[test]
fn what_a_url_leaves_out_stays_as_it_was() {
    let base = PostgresOptions::new()
        .with_host("elsewhere")
        .with_port(7777)
        .with_user("me")
        .with_database("mine");
    let check = |url: &str, expected: &str| {
        assert_eq!(
            base.clone().with_url(url).unwrap().describe(),
            expected,
            "{url}"
        );
    };
    check("postgres:///theirs", "postgres://me@elsewhere:7777/theirs");
    check("postgres://other@/", "postgres://other@elsewhere:7777/mine");
    // A host that is named has its own port.
    check("postgres://h", "postgres://me@h:5432/mine");
    check("port=9", "postgres://me@elsewhere:9/mine");
}

#[test]
fn a_schema_has_a_name_that_can_be_one() {
    for good in ["public", "smart_support", "Магазин", "a-b", "x$1"] {
        assert_eq!(
            PostgresOptions::new().with_schema(good).unwrap().schema(),
            good
        );
    }
    let long = "x".repeat(64);
    for bad in [
        "",
        "pg_catalog",
        "information_schema",
        "a\"b",
        "a b",
        "a;b",
        "a\0b",
        &long,
    ] {
        assert!(PostgresOptions::new().with_schema(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn hosts_on_this_machine_are_known_as_such() {
    for (host, local) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("/run/postgresql", true),
        ("localhost.example", false),
        ("10.0.0.1", false),
        ("db", false),
    ] {
        assert_eq!(Endpoint::new(host, 5432).is_local(), local, "{host}");
    }
    // A name that says it is here, and an address that is not.
    let options = PostgresOptions::parse("host=localhost hostaddr=10.0.0.1 user=u").unwrap();
    assert!(!options.endpoints[0].is_local());
}

#[test]
fn the_first_line_of_a_password_file_that_fits_counts() {
    let file = PasswordFile::parse(
        "# a comment\n\
         db\\:1:5432:shop:me:a\\:b\\\\c\n\
         db:5432:*:me:first\n\
         db:*:*:*:second:with:colons\n\
         localhost:*:*:*:local\n\
         too:short\n",
    );
    let find = |host: &str, port, database: &str, user: &str| {
        file.find(host, port, database, user)
            .map(|found| found.expose_secret().to_owned())
    };
    assert_eq!(find("db:1", 5432, "shop", "me").as_deref(), Some("a:b\\c"));
    assert_eq!(find("db", 5432, "shop", "me").as_deref(), Some("first"));
    assert_eq!(
        find("db", 5433, "shop", "me").as_deref(),
        Some("second:with:colons")
    );
    assert_eq!(
        find("/run/postgresql", 5432, "d", "u").as_deref(),
        Some("local")
    );
    assert_eq!(find("other", 5432, "d", "u"), None);
    assert!(!format!("{file:?}").contains("first"));
}

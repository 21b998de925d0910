//! Rows of a database as the source: what becomes of their types, what is paid for, what is refused, and that the shop's
//! database is never changed.

use integration_tests::postgres::{Client, TestDatabase, TestRole};
use integration_tests::{Backend, KEY, Place, StubApi, on_every_store};
use serde_json::{Value, json};

use crate::support::{api, billed_once, counts};

const TABLE: &str = "
    create table products (
        id int primary key, name text, brand text, category text, subcategory text, description text,
        active boolean, price numeric(10, 2), stock bigint, weight real, tags text[], sizes int[],
        made timestamptz, extra jsonb, embedding vector(3), raw bytea
    );
    insert into products
    select i, 'Laptop ' || i, case when i % 3 = 0 then null else 'Brand' || i % 4 end, 'Kind ' || i % 2, null,
        'Number ' || i || ' of the shop', i % 10 <> 0, i * 1.1, i::bigint * 1000000000, 0.1, array['a', 'b'],
        array[1, null, i], '2026-11-21 18:00:00+03', '{\"a\": 1}', '[1, 2, 3]', '\\x00'
    from generate_series(1, 20) as i";

/// A shop with eighteen active products of twenty, and a role of the test's own that may read them.
struct Shop {
    // Before the role.
    database: TestDatabase,
    reader: TestRole,
}

impl Shop {
    fn open() -> Option<Self> {
        if !Backend::Postgres.is_there() {
            return None;
        }
        let database = TestDatabase::create().unwrap();
        let reader = TestRole::create(&database, "reader", KEY);
        let shop = Self { database, reader };
        shop.client().run(TABLE);
        shop.client().run(&format!(
            "grant select on products to {}",
            shop.reader.name()
        ));
        Some(shop)
    }

    fn client(&self) -> Client {
        self.database.client()
    }

    fn url(&self) -> String {
        self.reader.url(&self.database)
    }

    /// Reads from this shop, wherever the store is.
    fn feeds(&self, place: &mut Place) {
        place.set("SOURCE_URL", self.url());
    }
}

/// A shop, and a place that embeds with a stub; none where there is no server.
fn open(backend: Backend) -> Option<(Shop, StubApi, Place)> {
    let shop = Shop::open()?;
    let api = api();
    let mut place = backend.stub(&api);
    shop.feeds(&mut place);
    Some((shop, api, place))
}

const FROM: [&str; 4] = ["--collection", "products", "--source-sql", "products"];

fn sync(place: &Place, more: &[&str]) -> Value {
    place.json(&[&["sync"], &FROM[..], more].concat())
}

fn migrate(place: &Place) -> Value {
    place.json(&[&["migrate"], &FROM[..]].concat())
}

fn rows_become_entries_with_their_types(backend: Backend) {
    let Some((shop, api, place)) = open(backend) else {
        return;
    };
    let run = place
        .run(&[&["migrate", "--json"], &FROM[..]].concat())
        .ok();
    run.says(&[
        "columns whose type is no metadata are left out: \"embedding (vector)\", \"raw (bytea)\"",
        "2 of 20 rows are left out: column \"active\" says they are not active",
    ]);
    let report = migrate(&place);
    counts(
        &report,
        &[("total", 18), ("unchanged", 18), ("embedded", 0)],
    );
    billed_once(&api, 18);
    // The catalogue's recipe; a brand that is absent leaves no gap.
    let billed = api.billed();
    assert!(billed.contains(&"Laptop 1 Brand1 Kind 1 Number 1 of the shop".to_owned()));
    assert!(billed.contains(&"Laptop 3 Kind 1 Number 3 of the shop".to_owned()));
    let found = place.json(&["similar", "7", "--collection", "products", "-k", "17"]);
    let hits = found["hits"].as_array().unwrap();
    let hit = hits.iter().find(|hit| hit["id"] == "2").unwrap();
    assert_eq!(hit["question"], "Laptop 2");
    assert_eq!(
        hit["metadata"],
        json!({
            "brand": "Brand2", "price": 2.2, "stock": 2_000_000_000_i64, "weight": 0.1, "tags": ["a", "b"],
            "sizes": [1, 2], "made": "2026-11-21T15:00:00Z", "extra": "{\"a\": 1}",
        })
    );
    // Typed, so numbers are compared as numbers.
    let cheap = place.json(&[
        "similar",
        "7",
        "--collection",
        "products",
        "-k",
        "20",
        "--filter",
        "price<4",
    ]);
    assert_eq!(cheap["hits"].as_array().unwrap().len(), 3);
    assert_eq!(place.files_with_secrets(), Vec::<std::path::PathBuf>::new());
    drop(shop);
}

fn only_what_changed_is_paid_for(backend: Backend) {
    let Some((shop, api, place)) = open(backend) else {
        return;
    };
    migrate(&place);
    shop.client().run(
        "update products set description = 'new' where id = 4;
         update products set price = 5 where id = 5;
         update products set active = false where id = 6;
         update products set active = null where id = 7;
         update products set active = true where id = 10;
         insert into products (id, name, active) values (21, 'Mouse', true)",
    );
    let report = sync(&place, &[]);
    counts(
        &report,
        &[
            ("new", 2),
            ("modified", 1),
            ("relabelled", 1),
            ("deleted", 2),
            ("unchanged", 14),
        ],
    );
    billed_once(&api, 18 + 3);
    counts(&sync(&place, &[]), &[("embedded", 0), ("unchanged", 18)]);
}

fn what_is_missing_or_stale_is_named_and_brought_alone(backend: Backend) {
    let Some((shop, api, place)) = open(backend) else {
        return;
    };
    migrate(&place);
    shop.client().run(
        "update products set name = 'Desk ' || id where id in (3, 4);
         delete from products where id = 9;
         insert into products (id, name, active) select i, 'Cup ' || i, true from generate_series(101, 112) as i",
    );
    let validate = [&["validate"], &FROM[..]].concat();
    let run = place.run(&validate).expect(4);
    run.prints(&[
        "coverage 58.6%",
        "missing: 101, 102, 103, 104, 105, 106, 107, 108, 109, 110 and 2 more",
        "stale: 3, 4",
    ]);
    let run = place.run(&[&validate[..], &["--json"]].concat()).expect(4);
    let found = run.json();
    assert_eq!(found["missing"].as_array().unwrap().len(), 12);
    assert_eq!(found["stale"], json!(["3", "4"]));
    assert!((found["coverage"].as_f64().unwrap() - 17.0 / 29.0).abs() < 1e-9);

    let missing = sync(&place, &["--missing"]);
    counts(
        &missing,
        &[
            ("new", 12),
            ("modified", 0),
            ("deleted", 0),
            ("embedded", 12),
        ],
    );
    let stale = sync(&place, &["--stale", "--only", "3"]);
    counts(
        &stale,
        &[("new", 0), ("modified", 1), ("deleted", 0), ("embedded", 1)],
    );
    billed_once(&api, 18 + 13);
    let refused = [&["sync", "--missing", "--force-recompute"], &FROM[..]].concat();
    place.run(&refused).expect(2).says(&["--missing"]);
    let rest = sync(&place, &[]);
    counts(&rest, &[("modified", 1), ("deleted", 1), ("embedded", 1)]);
    let run = place.run(&[&validate[..], &["--json"]].concat()).ok();
    assert_eq!(run.json()["missing"], json!([]));
    assert_eq!(run.json()["coverage"], 1.0);
}

fn a_text_that_is_known_elsewhere_is_not_paid_for_again(backend: Backend) {
    let Some((shop, api, place)) = open(backend) else {
        return;
    };
    let texts = shop.client().rows(
        "select id, concat_ws(' ', name, brand, category, description) from products where active and id < 15",
    );
    let lines: Vec<String> = texts
        .iter()
        .map(|row| json!({"id": row[0], "question": "", "answer": row[1]}).to_string())
        .collect();
    place.write("old.jsonl", lines.join("\n"));
    let old = ["migrate", "--faq-path", "old.jsonl", "--collection", "old"];
    counts(&place.json(&old), &[("embedded", 13)]);
    let report = migrate(&place);
    counts(&report, &[("new", 18), ("reused", 13), ("embedded", 5)]);
    billed_once(&api, 18);
}

fn what_an_import_brought_is_taken_over_by_the_shop(backend: Backend) {
    let Some((_shop, api, place)) = open(backend) else {
        return;
    };
    // Ids and texts as the shop has them, but for one text; one entry the shop does not know.
    let lines: Vec<String> = [1, 2, 4, 99]
        .iter()
        .map(|id| {
            let name = if *id == 4 {
                "Lamp".to_owned()
            } else {
                format!("Laptop {id}")
            };
            let answer = format!("Number {id} of the shop");
            json!({"id": id.to_string(), "question": name, "answer": answer}).to_string()
        })
        .collect();
    place.write("chroma.jsonl", lines.join("\n"));
    place.json(&[
        "migrate",
        "--faq-path",
        "chroma.jsonl",
        "--collection",
        "products",
    ]);
    // What an import leaves behind is known by its kind.
    place.execute("update sources set kind = 'chroma'");
    let report = sync(&place, &[]);
    counts(
        &report,
        &[
            ("new", 15),
            ("relabelled", 2),
            ("modified", 1),
            ("deleted", 0),
            ("embedded", 16),
        ],
    );
    billed_once(&api, 4 + 16);
    assert_eq!(place.rows("products").len(), 19);
    counts(&sync(&place, &[]), &[("unchanged", 18), ("embedded", 0)]);
    place.run(&["validate"]).ok();
}

on_every_store! {
    rows_become_entries_with_their_types,
    only_what_changed_is_paid_for,
    what_is_missing_or_stale_is_named_and_brought_alone,
    a_text_that_is_known_elsewhere_is_not_paid_for_again,
    what_an_import_brought_is_taken_over_by_the_shop,
}

#[test]
fn the_store_s_own_database_is_the_shop_where_no_other_is_named() {
    if !Backend::Postgres.is_there() {
        return;
    }
    let place = Backend::Postgres.hash();
    place.postgres().client().run(&format!(
        "create schema shop; {}; grant usage on schema shop to {owner}; grant select on shop.products to {owner}",
        TABLE.replace("products", "shop.products"),
        owner = place.postgres().owner().name()
    ));
    let report = place.json(&[
        "migrate",
        "--source-sql",
        "shop.products",
        "--collection",
        "products",
    ]);
    counts(&report, &[("new", 18)]);
    let client = place.postgres().client();
    let source = client.rows("select kind, location from sources");
    let location = source[0][1].as_deref().unwrap();
    assert_eq!(source[0][0].as_deref(), Some("postgres"));
    assert!(location.ends_with(", table shop.products"), "{location}");
    assert!(!location.contains(KEY), "{location}");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_reason() {
    let Some((shop, api, place)) = open(Backend::Sqlite) else {
        return;
    };
    shop.client().run(
        "create table secret (id int, name text);
         create table nameless (name text);
         create sequence numbers;
         create table odd (id int, name text, active text[])",
    );
    shop.client().run(&format!(
        "grant select on nameless, odd to {reader}; grant all on sequence numbers to {reader}",
        reader = shop.reader.name()
    ));
    let before = shop
        .client()
        .scalar("select md5(string_agg(t::text, '')) from products t");
    let cases: &[(&str, &[&str])] = &[
        (
            "produkts",
            &["no table \"produkts\"", "did you mean \"products\""],
        ),
        (
            "shop.products",
            &[
                "no table \"shop.products\"",
                "did you mean \"public.products\"",
            ],
        ),
        ("secret", &["may not read table secret", "GRANT SELECT"]),
        (
            "nameless",
            &["no id column in table nameless", "--map id=COLUMN"],
        ),
        ("odd", &["\"active\"", "--map active="]),
        ("select id, name from", &["42601"]),
        (
            "select id, name from products; drop table products",
            &["42601"],
        ),
        (
            "delete from products returning *",
            &["only read", "\"delete\""],
        ),
        (
            "with gone as (delete from products returning *) select * from gone",
            &["query-"],
        ),
        (
            "select nextval('numbers') as id, 'x' as name",
            &["writes", "25006", "only read"],
        ),
        ("", &["--source-sql"]),
    ];
    for (sql, says) in cases {
        let run = place
            .run(&["migrate", "--source-sql", sql, "--json"])
            .expect(2)
            .prints_nothing();
        run.says(says);
    }
    let map = |pair: &str| {
        place
            .run(&[&["migrate", "--map", pair], &FROM[..]].concat())
            .expect(2)
    };
    map("question=nme").says(&["no column \"nme\"", "did you mean --map question=\"name\""]);
    map("active=activ").says(&[
        "no column \"activ\"",
        "did you mean --map active=\"active\"",
    ]);
    map("titel=name").says(&["no field \"titel\""]);
    let recipe = [&["migrate", "--embed-text", "{name} {bland}"], &FROM[..]].concat();
    place
        .run(&recipe)
        .expect(2)
        .says(&["{bland}", "did you mean {brand}"]);
    let after = shop
        .client()
        .scalar("select md5(string_agg(t::text, '')) from products t");
    assert_eq!(before, after);
    assert_eq!(api.requests(), 0, "something was paid for");
    assert!(!place.store().exists());
}

#[test]
fn a_source_is_named_once() {
    let Some((shop, _api, mut place)) = open(Backend::Sqlite) else {
        return;
    };
    place.write("faq.csv", "id,question,answer\n1,a,b\n");
    let both = [&["migrate", "--faq-path", "faq.csv"], &FROM[..]].concat();
    place
        .run(&both)
        .expect(2)
        .says(&["two sources are named", "leave one out"]);
    let sheet = [&["migrate", "--sheet", "1"], &FROM[..]].concat();
    place.run(&sheet).expect(2).says(&["--sheet is for files"]);
    let plan = [&["sync", "--plan-out", "plan.json"], &FROM[..]].concat();
    place
        .run(&plan)
        .expect(2)
        .says(&["rows of a database change"]);
    // A flag beats a variable, either way.
    place.set("FAQ_PATH", "absent.csv");
    counts(&migrate(&place), &[("total", 18)]);
    place.unset("FAQ_PATH");
    place.set("SOURCE_SQL", "products");
    counts(&place.migrate("faq.csv", &[]), &[("total", 1)]);
    counts(
        &place.json(&["sync", "--collection", "products"]),
        &[("total", 18)],
    );
    place.unset("SOURCE_SQL");
    place.unset("SOURCE_URL");
    place
        .run(&["sync", "--source-url", &shop.url()])
        .expect(2)
        .says(&["names a database and no table"]);
    let nowhere = [&["sync"], &FROM[..]].concat();
    place
        .run(&nowhere)
        .expect(2)
        .says(&["--source-url", "SOURCE_URL"]);
    place.set("SOURCE_URL", format!("mysql://u:{KEY}@host/db"));
    place.run(&nowhere).expect(2).says(&["is not postgres://"]);
}

#[test]
fn a_server_that_does_not_let_us_in_is_told_apart_from_one_that_is_not_there() {
    let Some((shop, _api, mut place)) = open(Backend::Sqlite) else {
        return;
    };
    let sync = [&["migrate"], &FROM[..]].concat();
    let wrong = shop.reader.url_with(&shop.database, Some("wrong-Secret-0"));
    place.set("SOURCE_URL", wrong);
    let run = place.run(&sync).expect(2).says(&["refuses the password"]);
    assert!(!run.stderr.contains("wrong-Secret-0"));
    // The password of the store's server, which the place has, is nobody's business here.
    place.set("SOURCE_URL", shop.reader.url_with(&shop.database, None));
    place.run(&sync).expect(2).says(&["password"]);
    place.set("SOURCE_URL", format!("postgres://u:{KEY}@127.0.0.1:1/shop"));
    place.run(&sync).expect(75).says(&["127.0.0.1:1"]);
    place.set(
        "SOURCE_URL",
        format!("{}?sslmode=prefer", shop.url().split('?').next().unwrap()),
    );
    place.run(&sync).expect(2).says(&["sslmode=prefer"]);
    // From a file, as every secret.
    place.unset("SOURCE_URL");
    let file = place.write("url", format!("{}\n", shop.url()));
    place.set("SOURCE_URL_FILE", &file);
    counts(&migrate(&place), &[("total", 18)]);
}

#[test]
fn rows_that_cannot_be_taken_are_listed_and_the_others_are() {
    let Some((shop, _api, place)) = open(Backend::Sqlite) else {
        return;
    };
    shop.client().run(
        "create table goods (key text, title text, description text, live text);
         insert into goods values
            ('a', 'One', 'x', 'yes'), ('a', 'Again', 'x', 'yes'), (null, 'Nameless', 'x', 'yes'),
            ('d', null, null, 'yes'), ('e', 'Long', repeat('я', 40000), 'yes'), ('f', 'Off', 'x', 'no'),
            ('g', 'Odd', 'x', 'perhaps'), ('h', 'Last', 'x', '1')",
    );
    shop.client()
        .run(&format!("grant select on goods to {}", shop.reader.name()));
    let sync = [
        "migrate",
        "--source-sql",
        "select * from goods order by title -- all of them",
        "--collection",
        "goods",
        "--map",
        "id=key",
        "--map",
        "active=live",
        "--json",
    ];
    let run = place.run(&sync).expect(3);
    let report = run.json();
    counts(&report, &[("new", 2)]);
    let failed = report["failed"].as_array().unwrap();
    let reasons: Vec<&str> = failed
        .iter()
        .map(|row| row["reason"].as_str().unwrap())
        .collect();
    for expected in [
        "the id \"a\" stands in row 1 already",
        "the row has no id, while others have one",
        "neither question nor answer",
        "the text has more than 32767 characters",
        "\"perhaps\", which is neither yes nor no",
    ] {
        assert!(
            reasons.iter().any(|reason| reason.contains(expected)),
            "{expected}: {reasons:#?}"
        );
    }
    assert_eq!(failed.len(), 5);
    // All rows, whatever the column says.
    let all = [&sync[..], &["--map", "active="]].concat();
    place.run(&all).expect(2).says(&["twice"]);
}

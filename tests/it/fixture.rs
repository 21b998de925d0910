//! The quickstart's workbook and the TOML it is made from.

use integration_tests::{TEMPLATES, fixture_path, templates, workbook};

#[test]
fn the_workbook_is_what_the_generator_makes() {
    let templates = templates().unwrap();
    assert_eq!(templates.len(), TEMPLATES);
    let made = workbook(&templates);
    assert_eq!(made, workbook(&templates), "two runs differ");
    let there = std::fs::read(fixture_path()).unwrap();
    assert!(
        there == made,
        "the workbook is out of date; run: cargo run -p integration-tests --bin make-fixtures"
    );
}

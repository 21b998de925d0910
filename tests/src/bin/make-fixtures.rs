//! Writes the quickstart's workbook from `fixtures/faq/*.toml`, and the PDF and docx of `fixtures/documents`. The same
//! texts give the same bytes.

use std::process::ExitCode;

use integration_tests::{
    TEMPLATES, documents_path, fixture_path, made_documents, templates, workbook,
};

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), String> {
    for (name, bytes) in made_documents() {
        let path = documents_path().join(name);
        std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        complain(&format!("{} written", path.display()));
    }
    let bytes = workbook(&templates()?);
    let path = fixture_path();
    if std::fs::read(&path).is_ok_and(|there| there == bytes) {
        complain(&format!("{} is up to date", path.display()));
        return Ok(());
    }
    std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    complain(&format!(
        "{TEMPLATES} templates written to {}",
        path.display()
    ));
    Ok(())
}

#[allow(clippy::print_stderr, reason = "a tool talks to who runs it")]
fn complain(text: &str) {
    eprintln!("make-fixtures: {text}");
}

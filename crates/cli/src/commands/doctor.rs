//! `doctor`: everything that is known to go wrong, looked for, each with the command that mends it.
//!
//! It writes nothing and fails at nothing: what cannot be looked at is reported as skipped, with the reason.

mod embedder;
mod finding;
mod leftovers;
mod place;
mod postgres;
mod remedy;
mod settings;
mod source;
mod store;

use crate::app::App;
use crate::args::DoctorArgs;
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::wire;

use finding::Finding;

/// Looks at everything.
pub(crate) async fn run(app: &App, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut findings = settings::look(app, args);
    let (found, store) = store::look(app, args).await;
    findings.extend(found);
    findings.extend(embedder::look(app, store.as_ref()).await);
    findings.extend(source::look(app, args, store.as_ref()).await);
    findings.push(leftovers::look(app));
    report(app.output, &findings)
}

/// Settings that cannot even be read are the one thing to mend first.
pub(crate) fn without_settings(output: Output, failure: &Failure) -> Result<ExitCode, Failure> {
    report(output, &[settings::unreadable(failure)])
}

fn report(output: Output, findings: &[Finding]) -> Result<ExitCode, Failure> {
    let mut faults = 0;
    for Finding {
        name,
        state,
        detail,
        remedy,
    } in findings
    {
        match state {
            finding::State::Fine => output.say(format!("{} {name}: {detail}", output.mark(true))),
            finding::State::Skipped => output.say(format!("- {name}: not looked at: {detail}")),
            finding::State::Fault => {
                faults += 1;
                output.print(format!("{} {name}: {detail}", output.mark(false)));
            }
        }
        if let Some(remedy) = remedy {
            output.print(format!("    → {remedy}"));
        }
    }
    output.print(match faults {
        0 => "\nNothing found that needs mending".to_owned(),
        1 => "\n1 finding; its remedy is the line with the arrow".to_owned(),
        _ => format!(
            "\n{faults} findings; the remedies are the lines with an arrow, best taken from above"
        ),
    });
    output.document(&wire::Doctor {
        ok: faults == 0,
        checks: findings.iter().map(Finding::to_wire).collect(),
    })?;
    Ok(if faults == 0 {
        ExitCode::Done
    } else {
        ExitCode::FaultsFound
    })
}

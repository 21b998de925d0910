//! `apply`: carries out what `--plan-out` froze.

use crate::app::App;
use crate::args::ApplyArgs;
use crate::commands::{model, sync};
use crate::exit::{ExitCode, Failure};
use crate::plan_file::{BUILD, PlanFile};

pub(crate) async fn run(app: &App, args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let plan = PlanFile::read(&args.file)?;
    match plan.head.kind.as_str() {
        BUILD => model::apply(app, args, &plan).await,
        _ => sync::apply(app, args, &plan).await,
    }
}

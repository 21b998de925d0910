//! `apply`: carries out what `--plan-out` froze.

use crate::app::App;
use crate::args::ApplyArgs;
use crate::commands::sync;
use crate::exit::{ExitCode, Failure};
use crate::plan_file::PlanFile;

pub(crate) async fn run(app: &App, args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let plan = PlanFile::read(&args.file)?;
    sync::apply(app, args, &plan).await
}

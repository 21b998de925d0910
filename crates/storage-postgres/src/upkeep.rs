//! What keeps the server's picture of the data true.

use async_trait::async_trait;

use crate::error::Outcome;
use crate::rows::get;
use crate::sql;
use crate::tx::{Tx, Work};

/// Brings the planner's statistics up to date, where the tables have grown or shrunk by more than a tenth since they were
/// taken. The schema leaves the vectors and texts out of them: reading those takes as long as the change did.
pub(crate) struct Analyse;

#[async_trait]
impl Work for Analyse {
    type Output = ();
    const NAME: &'static str = "analyse";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        if get::<bool>(&tx.one(sql::OUTDATED, &[]).await?, 0)? {
            tx.batch(sql::ANALYSE).await?;
        }
        Ok(())
    }
}

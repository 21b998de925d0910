//! What keeps the server's picture of the data true.

use async_trait::async_trait;

use crate::error::Outcome;
use crate::sql;
use crate::tx::{Tx, Work};

/// Brings the planner's statistics up to date, after a change that moved many rows. The vectors themselves are left
/// out: nobody compares them with constants, and reading them takes as long as the change did.
pub(crate) struct Analyse;

#[async_trait]
impl Work for Analyse {
    type Output = ();
    const NAME: &'static str = "analyse";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        tx.client.batch_execute(sql::ANALYSE).await?;
        Ok(())
    }
}

//! Applies a batch of claims in one transaction.

use time::OffsetDateTime;

use super::connections::{Hold, hold};
use super::rechecks::{Ask, ask};
use super::retry::retry;
use super::rows::load;
use super::write::write;
use super::{Catalog, Connection};
use crate::model::{Claim, Verdict};

impl Catalog {
    /// Merges claims about keys of one bucket into what is held of them, and queues the keys in
    /// doubt. All or nothing; the verdicts are in the order of the claims.
    ///
    /// # Errors
    /// When Postgres is away or refuses, or when races are lost again and again.
    pub async fn apply(
        &self,
        connection: &Connection,
        claims: &[(&str, &Claim)],
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        retry("apply", || self.apply_once(connection, claims, now)).await
    }

    async fn apply_once(
        &self,
        connection: &Connection,
        claims: &[(&str, &Claim)],
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let horizon = hold(&mut transaction, connection, Hold::Shared).await?;
        let mut keys: Vec<&str> = claims.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        let before = load(&mut transaction, &connection.bucket, &keys).await?;

        let mut after = before.clone();
        let mut verdicts = Vec::with_capacity(claims.len());
        let mut doubts = Vec::new();
        for (key, claim) in claims {
            let verdict = after.entry((*key).to_owned()).or_default().apply(claim, &horizon);
            doubts.extend(verdict.doubt.map(|reason| Ask { key: (*key).to_owned(), reason, run_id: None }));
            verdicts.push(verdict);
        }

        write(&mut transaction, &connection.bucket, &before, &after, now).await?;
        ask(&mut transaction, &connection.bucket, doubts, now, connection.terms.recheck_delay).await?;
        transaction.commit().await?;
        Ok(verdicts)
    }
}

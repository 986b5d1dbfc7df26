//! What is wrong now, written down so that `stocktake status` can tell.

use time::OffsetDateTime;

use super::Catalog;

impl Catalog {
    /// Notes what is wrong with a subject, such as `queue https://…`.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_problem(
        &self,
        subject: &str,
        message: &str,
        remedy: &str,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into catalog.problems (subject, message, remedy, since) values ($1, $2, $3, $4)
             on conflict (subject) do update set message = excluded.message, remedy = excluded.remedy",
        )
        .bind(subject)
        .bind(message)
        .bind(remedy)
        .bind(now)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Forgets what was wrong with subjects that are nobody's concern any more.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn keep_problems_of(&self, subjects: &[String]) -> Result<(), sqlx::Error> {
        sqlx::query("delete from catalog.problems where subject <> all($1)")
            .bind(subjects)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// Notes that a subject is well.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn clear_problem(&self, subject: &str) -> Result<(), sqlx::Error> {
        sqlx::query("delete from catalog.problems where subject = $1")
            .bind(subject)
            .execute(&self.pool)
            .await
            .map(drop)
    }
}

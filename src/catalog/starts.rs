//! Why runs start, and what was noticed that asks for one.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::session::Session;
use super::{Catalog, Connection};
use crate::bucket::Versioning;

/// What a run is good for: the word in `catalog.reconciliations.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No run was complete yet.
    New,
    /// It is time.
    Schedule,
    /// Messages may have expired in a queue before they were received, or have gone with it.
    Away,
    /// The bucket keeps versions, or does not, as it did not before.
    Versioning,
    /// The bucket tells something else than before, or somebody else.
    Notifications,
    /// Other keys are to stay out than before.
    Ignore,
    /// So many keys are in doubt that listing everything is cheaper.
    Doubts,
    /// Somebody asks.
    Operator,
}

const REASONS: [Reason; 8] = [
    Reason::New,
    Reason::Schedule,
    Reason::Away,
    Reason::Versioning,
    Reason::Notifications,
    Reason::Ignore,
    Reason::Doubts,
    Reason::Operator,
];

impl Reason {
    /// The word in the ledger and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Schedule => "schedule",
            Self::Away => "away",
            Self::Versioning => "versioning",
            Self::Notifications => "notifications",
            Self::Ignore => "ignore",
            Self::Doubts => "doubts",
            Self::Operator => "operator",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        REASONS.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Why a run is to start, and what would make it needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An operator asks: it starts, whatever has been.
    Operator,
    /// It is due by itself, as far as is known from the last run; if another one was over since, it is not.
    Due {
        /// Why.
        reason: Reason,
        /// The last run that was known, see [`Catalog::last_run`].
        last: Option<i64>,
    },
}

impl Trigger {
    /// The word for it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Operator => Reason::Operator,
            Self::Due { reason, .. } => reason,
        }
    }
}

/// A listing that was over all of a connection and came to its end, or that the guard stopped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct LastRun {
    /// Its id.
    pub run_id: i64,
    /// When it began, on our clock.
    pub started_at: OffsetDateTime,
    /// And when it ended.
    pub finished_at: Option<OffsetDateTime>,
}

/// What a look at a bucket showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The region it is in.
    pub region: String,
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// What it tells of the connection's keys; none if we may not know.
    pub notifications: Option<String>,
    /// How much later a change of that has taken effect; a second run is due then. None if events
    /// do not reach us anyway.
    pub settles_at: Option<OffsetDateTime>,
}

type Described = (Option<String>, Option<String>, Option<String>);

impl Catalog {
    /// The last listing of all of a connection that was complete or that the guard stopped.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn last_run(&self, connection: &Connection) -> Result<Option<LastRun>, sqlx::Error> {
        self.last_run_because(connection, None).await
    }

    /// The last of these that began for that reason.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn last_run_because(
        &self,
        connection: &Connection,
        reason: Option<Reason>,
    ) -> Result<Option<LastRun>, sqlx::Error> {
        sqlx::query_as(
            "select run_id, started_at, finished_at from catalog.reconciliations
             where bucket = $1 and prefix = $2 and source = 'listing' and (status = 'complete' or withheld > 0)
               and ($3::text is null or reason = $3)
             order by run_id desc limit 1",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(reason.map(Reason::as_str))
        .fetch_optional(&self.pool)
        .await
    }

    /// Asks for a run over all of the connection.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn ask_run(
        &self,
        connection: &Connection,
        reason: Reason,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        ask(&mut transaction, &[connection], reason, now).await?;
        transaction.commit().await
    }

    /// Why a run of the connection is due that was asked for, if one is.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn asked_run(
        &self,
        connection: &Connection,
        now: OffsetDateTime,
    ) -> Result<Option<Reason>, sqlx::Error> {
        let word: Option<String> = sqlx::query_scalar(
            "select reason from catalog.due_runs
             where bucket = $1 and prefix = $2 and due_at <= $3 and due_at > coalesce((
                 select started_at from catalog.reconciliations
                 where bucket = $1 and prefix = $2 and source = 'listing' and (status = 'complete' or withheld > 0)
                 order by run_id desc limit 1), '-infinity')
             order by due_at limit 1",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        Ok(word.as_deref().and_then(Reason::parse))
    }

    /// Notes what a look at the bucket showed, and asks for a run where that is not what it was: why.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn describe(
        &self,
        connection: &Connection,
        look: &Look,
        now: OffsetDateTime,
    ) -> Result<Vec<Reason>, sqlx::Error> {
        let before: Described = sqlx::query_as(
            "select region, versioning, notifications from catalog.connections where bucket = $1 and prefix = $2",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .fetch_one(&self.pool)
        .await?;
        let notifications = look.notifications.as_ref().or(before.2.as_ref());
        let after = (Some(&look.region), Some(look.versioning.as_str()), notifications);
        if (before.0.as_ref(), before.1.as_deref(), before.2.as_ref()) == after {
            return Ok(Vec::new());
        }
        let mut transaction = self.pool.begin().await?;
        // Of several daemons that notice, one asks.
        let is_first = sqlx::query(
            "update catalog.connections set region = $3, versioning = $4, notifications = $5
             where bucket = $1 and prefix = $2
               and (region, versioning, notifications) is not distinct from ($6, $7, $8)",
        )
        .bind(&connection.bucket)
        .bind(&connection.prefix)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(&before.0)
        .bind(&before.1)
        .bind(&before.2)
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        let mut reasons = Vec::new();
        if is_first {
            // What was not known before is no change.
            if before.1.as_deref().is_some_and(|before| before != look.versioning.as_str()) {
                ask(&mut transaction, &[connection], Reason::Versioning, now).await?;
                reasons.push(Reason::Versioning);
            }
            if before.2.as_ref().is_some_and(|before| Some(before) != notifications) {
                for due_at in [Some(now), look.settles_at].into_iter().flatten() {
                    ask(&mut transaction, &[connection], Reason::Notifications, due_at).await?;
                }
                reasons.push(Reason::Notifications);
            }
        }
        transaction.commit().await?;
        Ok(reasons)
    }

    /// Notes that what was sent to a queue before `through` was received, and asks for a run of every
    /// connection if what was sent before `expired` is gone by then without being received: the
    /// moment up to which it was.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn note_received(
        &self,
        url: &str,
        through: OffsetDateTime,
        expired: OffsetDateTime,
        connections: &[&Connection],
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        // The lock lets one of several daemons see the gap.
        let before: Option<OffsetDateTime> =
            sqlx::query_scalar("select received_through from catalog.queues where url = $1 for update")
                .bind(url)
                .fetch_optional(&mut *transaction)
                .await?;
        sqlx::query(
            "insert into catalog.queues (url, received_through) values ($1, $2)
             on conflict (url) do update
             set received_through = greatest(queues.received_through, excluded.received_through),
                 noted_at = excluded.noted_at",
        )
        .bind(url)
        .bind(through.max(expired))
        .execute(&mut *transaction)
        .await?;
        let gap = before.filter(|before| *before < expired);
        if gap.is_some() {
            ask(&mut transaction, connections, Reason::Away, now).await?;
        }
        transaction.commit().await?;
        Ok(gap)
    }
}

/// Asks for a run of each connection.
async fn ask(
    transaction: &mut Session,
    connections: &[&Connection],
    reason: Reason,
    due_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    for connection in connections {
        sqlx::query("insert into catalog.due_runs (bucket, prefix, reason, due_at) values ($1, $2, $3, $4)")
            .bind(&connection.bucket)
            .bind(&connection.prefix)
            .bind(reason.as_str())
            .bind(due_at)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

/// Forgets what a run was asked for that is complete now.
pub(super) async fn strike_off(
    transaction: &mut Session,
    connection: &Connection,
    run_id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from catalog.due_runs
         where bucket = $1 and prefix = $2
           and due_at <= (select started_at from catalog.reconciliations where run_id = $3)",
    )
    .bind(&connection.bucket)
    .bind(&connection.prefix)
    .bind(run_id)
    .execute(transaction)
    .await
    .map(drop)
}

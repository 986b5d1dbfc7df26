//! Whether nothing was lost on the way, and nothing removed that was there.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::task::JoinSet;

use super::{Config, Stage};

/// Keys that nobody touches again begin with this.
pub(crate) const STILL: &str = "still/";
/// Requests at once.
const HANDS: usize = 8;

impl Stage {
    /// Puts so many objects that nobody will touch again.
    pub(crate) async fn fill(&self, bucket: &str, count: usize) {
        let mut hands = JoinSet::new();
        for hand in 0..HANDS {
            let (s3, bucket) = (self.s3.clone(), bucket.to_owned());
            hands.spawn(async move {
                for number in (hand..count).step_by(HANDS) {
                    let put = s3.put_object().bucket(&bucket).key(format!("{STILL}{number:04}"));
                    put.body(b"still".to_vec().into()).send().await.unwrap();
                }
            });
        }
        hands.join_all().await;
    }

    /// Deletes all objects for good, in a bucket that keeps no versions.
    pub(crate) async fn empty(&self, bucket: &str) {
        let mut pages = self.s3.list_objects_v2().bucket(bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            let keys = page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            let keys =
                keys.map(|key| ObjectIdentifier::builder().key(key).version_id("null").build().unwrap());
            let keys = Delete::builder().set_objects(Some(keys.collect())).build().unwrap();
            self.s3.delete_objects().bucket(bucket).delete(keys).send().await.unwrap();
        }
    }

    /// Makes the schema.
    pub(crate) async fn migrate(&self, config: &Config) {
        let migrated = self.run(config, &["migrate"]).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
    }

    /// From now on Postgres notes whenever a present version is removed. The schema has to be there.
    pub(crate) async fn witness_removals(&self) {
        let statements = "create table removed (key text not null);
            create function note_removal() returns trigger language plpgsql as $$
            begin
                insert into public.removed values (old.key);
                return null;
            end $$;
            create trigger note_deletion after delete on catalog.slots for each row
            when (old.is_present) execute function note_removal();
            create trigger note_tombstone after update on catalog.slots for each row
            when (old.is_present and not new.is_present) execute function note_removal();";
        sqlx::raw_sql(statements).execute(&self.pool).await.unwrap();
    }

    /// The catalog is what the bucket is; a run finds nothing amiss in it; and then it is so to the last detail.
    pub(crate) async fn must_be_true(&self, config: &Config, bucket: &str) {
        self.must_be_equal(&[bucket]).await;
        let told = self.run(config, &["reconcile", "--format", "json"]).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        for kind in ["missing", "stale", "ghost", "latest"] {
            assert_eq!(told.json()[0][kind], 0, "{kind} in {told:?}");
        }
        self.must_be_exact(&[bucket]).await;
    }

    /// Nobody has removed from the catalog, even for a moment, what S3 had all the time.
    pub(crate) async fn must_not_have_removed(&self) {
        let keys: Vec<String> = sqlx::query_scalar("select key from removed where starts_with(key, $1)")
            .bind(STILL)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        assert_eq!(keys, Vec::<String>::new());
    }
}

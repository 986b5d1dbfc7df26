//! Folders a page at a time: as `catalog.ls` makes them, in the order of keys, from any place on.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::catalog::Catalog;

/// A folder or an object of a level.
#[derive(Debug, FromRow)]
pub struct Entry {
    /// Whether this is a folder.
    pub is_folder: bool,
    /// The key; of a folder the prefix of what is in it.
    pub key: String,
    /// Bytes of an object, as far as known.
    pub size: Option<i64>,
    /// Its date.
    pub last_modified: Option<OffsetDateTime>,
    /// Its storage class, where known.
    pub storage_class: Option<String>,
    /// What is in a folder.
    #[sqlx(flatten)]
    pub inside: Inside,
}

/// What is in a folder, at any depth; nothing of an object.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub struct Inside {
    /// How many objects, up to as many as were counted.
    pub objects: Option<i64>,
    /// Their bytes.
    pub bytes: Option<i64>,
}

impl Catalog {
    /// Up to `limit` entries of the level below a prefix, behind the entry `after`, in the order of keys. What is in
    /// folders is counted up to so many objects each; without a limit, to the last.
    ///
    /// `catalog.ls` puts folders first, and so has to find all of a level before it can show any.
    ///
    /// # Errors
    /// When Postgres is away or refuses.
    pub async fn entries(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: i64,
        counted_max: Option<i64>,
    ) -> Result<Vec<Entry>, sqlx::Error> {
        sqlx::query_as(
            "with recursive found as (
                 (
                     select now.key, now.size, now.last_modified, now.storage_class,
                            catalog.folder_of(now.key, $2, '/') as folder
                     from catalog.objects as now
                     where now.bucket = $1
                       and now.key >= case when $3::text is null then $2
                                           when catalog.folder_of($3, $2, '/') = $3 then catalog.after_prefix($3)
                                           else $3 || chr(1) end collate \"C\"
                     order by now.key
                     limit 1
                 )
                 union all
                 select next.*
                 from found
                 cross join lateral (
                     select now.key, now.size, now.last_modified, now.storage_class,
                            catalog.folder_of(now.key, $2, '/') as folder
                     from catalog.objects as now
                     where now.bucket = $1
                       and now.key >= case when found.folder is null then found.key || chr(1)
                                           else catalog.after_prefix(found.folder) end
                     order by now.key
                     limit 1
                 ) as next
                 where starts_with(found.key, $2)
             ),
             page as (
                 select * from found where starts_with(key, $2) limit $4
             )
             select folder is not null as is_folder, coalesce(folder, key) collate \"C\" as key,
                    case when folder is null then size end as size,
                    case when folder is null then last_modified end as last_modified,
                    case when folder is null then storage_class end as storage_class,
                    inside.objects, inside.bytes
             from page
             left join lateral (
                 select count(*) as objects, least(coalesce(sum(counted.size), 0), 9223372036854775807)::bigint as bytes
                 from (
                     select object.size from catalog.objects as object
                     -- No key has more than 1,024 bytes, so none is beyond the greatest 257 characters.
                     where object.bucket = $1 and object.key >= page.folder
                       and object.key < coalesce(catalog.after_prefix(page.folder), repeat(chr(1114111), 257))
                     limit $5
                 ) as counted
             ) as inside on page.folder is not null
             order by 2",
        )
        .bind(bucket)
        .bind(prefix)
        .bind(after)
        .bind(limit)
        .bind(counted_max)
        .fetch_all(&self.pool)
        .await
    }
}

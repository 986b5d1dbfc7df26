-- Takes away the partition of a bucket that nothing of is connected any more, with all its rows: as fast for a
-- billion of them as for one.
create function catalog.drop_partition(bucket text) returns void language plpgsql as $$
declare
    relation regclass := catalog.partition_of(bucket);
begin
    if relation is not null then
        execute format('drop table %s', relation);
    end if;
end
$$;

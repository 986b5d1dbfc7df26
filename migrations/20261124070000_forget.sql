-- Takes away the partition of a bucket that nothing of is connected any more, with all its rows: as fast for a
-- billion of them as for one.
create function catalog.drop_partition(bucket text) returns void language plpgsql as $$
declare
    relation regclass;
begin
    for relation in
        select inhrelid::regclass from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'catalog.slots'::regclass
          and pg_get_expr(relpartbound, pg_class.oid) = format('FOR VALUES IN (%L)', bucket)
    loop
        execute format('drop table %s', relation);
    end loop;
end
$$;

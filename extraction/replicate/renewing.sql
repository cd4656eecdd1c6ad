-- name: is_usable
select coalesce((select wal_status <> 'lost' from pg_replication_slots where slot_name = %(slot)s), false)

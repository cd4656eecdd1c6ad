-- The comment on a placement table.

-- name: remark
select obj_description(to_regclass({placement}), 'pg_class')

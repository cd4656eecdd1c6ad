-- The life of an event: published with its cause, claimed, handled once, done or dead.

-- name: publish(id, type, key, data, traceparent, subscribers, in_s)
-- Write the event and a delivery for each subscriber. The lock makes the sequence of a key the order of its commits:
-- without it a later transaction of the same key could commit first. It is released with the transaction.
with alone as materialized (
  select pg_advisory_xact_lock('outbox'::regclass::oid::int, hashtext(:key))
), event as (
  insert into outbox (id, type, key, data, traceparent)
  select :id, :type, :key, :data, :traceparent from alone
  returning seq
)
insert into delivery (seq, subscriber, key, available_at)
select event.seq, subscriber, :key, now() + make_interval(secs => :in_s)
from event, unnest(:subscribers::text[]) as subscriber
returning id, seq, subscriber;

-- name: claim(id, lease_s)^
-- Take one delivery, if it is the head of its key for this subscriber and nobody holds it.
update delivery d
set lease_until = now() + make_interval(secs => :lease_s), attempts = least(attempts + 1, 32767)
from outbox o
where d.id = :id and d.state = 'pending' and (d.lease_until is null or d.lease_until < now()) and o.seq = d.seq
  and not exists (
    select from delivery earlier
    where earlier.subscriber = d.subscriber and earlier.key = d.key and earlier.seq < d.seq and earlier.state <> 'done')
returning d.id, d.subscriber, d.attempts, o.id, o.type, o.key, o.data, o.traceparent, o.occurred_at;

-- name: claim_due(subscribers, lease_s, most)
-- Take what is due for these subscribers, heads of their keys only, passing over what another relay holds.
with due as materialized (
  select id from delivery d
  where d.state = 'pending' and d.available_at <= now() and (d.lease_until is null or d.lease_until < now())
    and d.subscriber = any(:subscribers)
    and not exists (
      select from delivery earlier
      where earlier.subscriber = d.subscriber and earlier.key = d.key and earlier.seq < d.seq and earlier.state <> 'done')
  order by d.available_at
  limit :most
  for update skip locked
)
update delivery d
set lease_until = now() + make_interval(secs => :lease_s)
from due where d.id = due.id
returning d.id, d.lease_until;

-- name: attempt(id, lease_until, lease_s)^
-- Begin with one of those, if its lease was not lost to somebody else meanwhile. Only what was begun is an attempt:
-- the rest of a batch does not die with a handler that kills the process.
update delivery d
set lease_until = now() + make_interval(secs => :lease_s), attempts = least(attempts + 1, 32767)
from outbox o
where d.id = :id and d.state = 'pending' and d.lease_until = :lease_until and o.seq = d.seq
returning d.id, d.subscriber, d.attempts, o.id, o.type, o.key, o.data, o.traceparent, o.occurred_at;

-- name: give_back(ids, lease_until)!
-- End the leases of what was claimed and not begun.
update delivery set lease_until = null
where id = any(:ids) and state = 'pending' and lease_until = :lease_until;

-- name: succeed(id)^
-- Done; and the delivery that it was holding up, if there is one. One that is published and tried while this commits
-- is not seen here and left to the relay.
with done as (
  update delivery
  set state = 'done', done_at = now(), lease_until = null, last_error = ''
  where id = :id and state <> 'done'
  returning seq, subscriber, key
)
select (select d.id from delivery d
        where d.subscriber = done.subscriber and d.key = done.key and d.seq > done.seq and d.state = 'pending'
        order by d.seq limit 1)
from done;

-- name: fail(id, error, in_s, most_attempts)^
-- Try again later, or give up. A row that is done meanwhile stays done.
update delivery
set state = case when attempts >= :most_attempts then 'dead' else 'pending' end,
    available_at = now() + make_interval(secs => :in_s), lease_until = null, last_error = :error
where id = :id and state = 'pending'
returning state;

-- name: postpone(id, error, in_s)!
-- Try again later, without an attempt: what is away says nothing of the event.
update delivery
set attempts = greatest(attempts - 1, 0), available_at = now() + make_interval(secs => :in_s),
    lease_until = null, last_error = :error
where id = :id and state = 'pending';

-- name: sent(id)!
-- It is on its way to another unit, whose answer says whether it was an attempt; until then the lease holds. Each time
-- it is longer by as long as the delivery is due (15, 30, 60 s … 10 min): a unit that is away is not buried in copies.
update delivery
set attempts = greatest(attempts - 1, 0),
    lease_until = lease_until
                + least(greatest(now() - available_at, '0 s'), interval '10 min') * (0.8 + 0.2 * random())
where id = :id and state = 'pending';

-- name: tried_elsewhere(id)^
update delivery set attempts = least(attempts + 1, 32767) where id = :id and state = 'pending' returning attempts;

-- name: exhausted(subscribers, most_attempts, error)
-- Attempts of which none came to an end: each killed its process, or was killed for its time.
update delivery set state = 'dead', last_error = :error, lease_until = null
where state = 'pending' and available_at <= now() and lease_until < now() and attempts >= :most_attempts
  and subscriber = any(:subscribers)
returning id;

-- name: orphans(subscribers, after_s, error)
-- Deliveries whose subscriber no contract names any more (renamed, removed): dead, so that somebody sees them. Not at
-- once: while a new version is rolled out, the relay of the old one does not know the new one's subscribers.
update delivery set state = 'dead', last_error = :error, lease_until = null
where state = 'pending' and available_at <= now() - make_interval(secs => :after_s) and subscriber <> all(:subscribers)
returning id;

-- name: replay(id)!
update delivery set state = 'pending', attempts = 0, available_at = now(), lease_until = null
where id = :id and state = 'dead';

-- name: first_time(subscriber, event_id)!
-- One row where this subscriber has not handled the event; waits for a transaction that is handling it now.
insert into inbox (subscriber, event_id) values (:subscriber, :event_id) on conflict do nothing;

-- name: purge_events(days, most)!
-- Events whose every delivery is done since so many days.
delete from outbox where seq in (
  select o.seq from outbox o
  where o.occurred_at < now() - make_interval(days => :days)
    and not exists (select from delivery d where d.seq = o.seq
                    and (d.state <> 'done' or d.done_at > now() - make_interval(days => :days)))
  order by o.seq limit :most);

-- name: purge_deliveries(days, most)!
delete from delivery where seq in (
  select o.seq from outbox o
  where o.occurred_at < now() - make_interval(days => :days)
    and exists (select from delivery d where d.seq = o.seq)
    and not exists (select from delivery d where d.seq = o.seq
                    and (d.state <> 'done' or d.done_at > now() - make_interval(days => :days)))
  order by o.seq limit :most);

-- name: purge_answers(days, most)!
-- Who sends the key of one of these again is told that it is used up.
delete from idempotency where (scope, key) in (
  select scope, key from idempotency where created_at < now() - make_interval(days => :days) limit :most);

-- name: purge_inbox(days, most)!
-- Kept far longer than events: a replayed event must still be known.
delete from inbox where (subscriber, event_id) in (
  select subscriber, event_id from inbox where handled_at < now() - make_interval(days => :days) limit :most);

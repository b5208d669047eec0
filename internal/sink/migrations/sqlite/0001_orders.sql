-- +goose Up
-- Totals are text: SQLite's NUMERIC is a float64 and would not keep them. Times
-- are text of one length, in UTC to the microsecond, so that they sort.
CREATE TABLE orders (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL,
    total        TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    timestamp    TEXT    NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    partition    INTEGER NOT NULL,
    log_offset   INTEGER NOT NULL,
    topic_id     TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    created_at   TEXT    NOT NULL,
    applied_at   TEXT    NOT NULL
) STRICT;
CREATE INDEX orders_user_id ON orders (user_id, timestamp);
CREATE INDEX orders_status ON orders (status, timestamp);

CREATE TABLE order_events (
    event_id         TEXT    NOT NULL PRIMARY KEY,
    order_id         TEXT    NOT NULL,
    content_hash     BLOB    NOT NULL,
    topic_id         TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    log_offset       INTEGER NOT NULL,
    received_at      TEXT,
    applied_at       TEXT    NOT NULL,
    stale            INTEGER NOT NULL,
    origin_partition INTEGER,
    origin_offset    INTEGER,
    origin_topic_id  TEXT,
    CONSTRAINT order_events_place UNIQUE (topic_id, partition, log_offset)
) STRICT;
CREATE INDEX order_events_order_id ON order_events (order_id);
CREATE INDEX order_events_origin ON order_events (origin_topic_id, origin_partition, origin_offset) WHERE origin_topic_id IS NOT NULL;

CREATE TABLE record_outcomes (
    topic_id    TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    log_offset  INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    recorded_at TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    event_id    TEXT,
    order_id    TEXT,
    reason      TEXT,
    PRIMARY KEY (topic_id, partition, log_offset),
    CONSTRAINT record_outcomes_outcome CHECK (outcome IN ('duplicate', 'dead_lettered', 'skipped')),
    CONSTRAINT record_outcomes_last_offset CHECK (last_offset = log_offset OR outcome = 'skipped' AND last_offset > log_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_outcomes_dead_lettered ON record_outcomes (recorded_at) WHERE outcome = 'dead_lettered';

CREATE TABLE consumer_offsets (
    topic_id    TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    group_id    TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    next_offset INTEGER NOT NULL,
    updated_at  TEXT    NOT NULL,
    PRIMARY KEY (topic_id, partition, group_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW consumer_progress AS
SELECT c.group_id, c.topic, c.topic_id, c.partition, c.next_offset, c.updated_at, e.last_received_at,
       coalesce(e.applied, 0) AS applied, coalesce(e.stale, 0) AS stale,
       coalesce(r.duplicate, 0) AS duplicate, coalesce(r.dead_lettered, 0) AS dead_lettered,
       coalesce(r.skipped, 0) AS skipped
FROM consumer_offsets c
LEFT JOIN (
    SELECT topic_id, partition, count(*) FILTER (WHERE NOT stale) AS applied, count(*) FILTER (WHERE stale) AS stale, max(received_at) AS last_received_at
    FROM order_events GROUP BY topic_id, partition
) e ON e.topic_id = c.topic_id AND e.partition = c.partition
LEFT JOIN (
    SELECT topic_id, partition,
           count(*) FILTER (WHERE outcome = 'duplicate') AS duplicate,
           count(*) FILTER (WHERE outcome = 'dead_lettered') AS dead_lettered,
           sum(last_offset - log_offset + 1) FILTER (WHERE outcome = 'skipped') AS skipped
    FROM record_outcomes GROUP BY topic_id, partition
) r ON r.topic_id = c.topic_id AND r.partition = c.partition;

-- +goose Down
DROP VIEW consumer_progress;
DROP TABLE consumer_offsets;
DROP TABLE record_outcomes;
DROP TABLE order_events;
DROP TABLE orders;

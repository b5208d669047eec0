-- +goose Up
CREATE TABLE orders (
    id           text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    total        numeric(19,4)    NOT NULL,
    status       text COLLATE "C" NOT NULL,
    timestamp    timestamptz      NOT NULL,
    timestamp_ns smallint         NOT NULL,
    partition    integer          NOT NULL,
    log_offset   bigint           NOT NULL,
    topic_id     text COLLATE "C" NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    version      bigint           NOT NULL,
    created_at   timestamptz      NOT NULL DEFAULT statement_timestamp(),
    applied_at   timestamptz      NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT orders_pkey PRIMARY KEY (id)
);
CREATE INDEX orders_user_id ON orders (user_id, timestamp);
CREATE INDEX orders_status ON orders (status, timestamp);
COMMENT ON TABLE orders IS 'the latest state of each order';

CREATE TABLE order_events (
    event_id         text COLLATE "C" NOT NULL,
    order_id         text COLLATE "C" NOT NULL,
    content_hash     bytea            NOT NULL,
    topic_id         text COLLATE "C" NOT NULL,
    partition        integer          NOT NULL,
    log_offset       bigint           NOT NULL,
    received_at      timestamptz,
    applied_at       timestamptz      NOT NULL DEFAULT statement_timestamp(),
    stale            boolean          NOT NULL,
    origin_partition integer,
    origin_offset    bigint,
    origin_topic_id  text COLLATE "C",
    CONSTRAINT order_events_pkey PRIMARY KEY (event_id),
    CONSTRAINT order_events_place UNIQUE (topic_id, partition, log_offset)
);
CREATE INDEX order_events_order_id ON order_events (order_id);
CREATE INDEX order_events_origin ON order_events (origin_topic_id, origin_partition, origin_offset) WHERE origin_topic_id IS NOT NULL;
COMMENT ON TABLE order_events IS 'each event that was taken, once';

CREATE TABLE record_outcomes (
    topic_id    text COLLATE "C" NOT NULL,
    partition   integer          NOT NULL,
    log_offset  bigint           NOT NULL,
    last_offset bigint           NOT NULL,
    recorded_at timestamptz      NOT NULL DEFAULT statement_timestamp(),
    outcome     text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C",
    order_id    text COLLATE "C",
    reason      text COLLATE "C",
    CONSTRAINT record_outcomes_pkey PRIMARY KEY (topic_id, partition, log_offset),
    CONSTRAINT record_outcomes_outcome CHECK (outcome IN ('duplicate', 'dead_lettered', 'skipped')),
    CONSTRAINT record_outcomes_last_offset CHECK (last_offset = log_offset OR outcome = 'skipped' AND last_offset > log_offset)
);
CREATE INDEX record_outcomes_dead_lettered ON record_outcomes (recorded_at) WHERE outcome = 'dead_lettered';
COMMENT ON TABLE record_outcomes IS 'each record of the topic that is not in order_events';

CREATE TABLE consumer_offsets (
    topic_id    text COLLATE "C" NOT NULL,
    partition   integer          NOT NULL,
    group_id    text COLLATE "C" NOT NULL,
    topic       text COLLATE "C" NOT NULL,
    next_offset bigint           NOT NULL,
    updated_at  timestamptz      NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT consumer_offsets_pkey PRIMARY KEY (topic_id, partition, group_id)
);
COMMENT ON TABLE consumer_offsets IS 'where each group goes on; it moves with the rows, in one transaction';

CREATE VIEW consumer_progress AS
SELECT c.group_id, c.topic, c.topic_id, c.partition, c.next_offset, c.updated_at, e.last_received_at,
       coalesce(e.applied, 0) AS applied, coalesce(e.stale, 0) AS stale,
       coalesce(r.duplicate, 0) AS duplicate, coalesce(r.dead_lettered, 0) AS dead_lettered,
       coalesce(r.skipped, 0)::bigint AS skipped
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
COMMENT ON VIEW consumer_progress IS 'per group and partition: the next offset, how fresh the orders are, and what became of the records';

-- +goose Down
DROP VIEW consumer_progress;
DROP TABLE consumer_offsets;
DROP TABLE record_outcomes;
DROP TABLE order_events;
DROP TABLE orders;

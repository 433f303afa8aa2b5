-- What is to be done at a time (owner: kernel/engine). `alarm` is a projection: each row is set and cleared by the entries of its thing.
CREATE TABLE alarm (
    thing UUID NOT NULL,
    op TEXT NOT NULL,
    patient UUID NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (thing, op)
);
CREATE INDEX alarm_at ON alarm (at);

-- Not a projection: for which time an alarm was last run, so that a rebuild, which sets the same alarms again, runs none twice.
CREATE TABLE alarm_run (
    thing UUID NOT NULL,
    op TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (thing, op)
);

-- Handoffs as they stand (owner: features/handoffs). A projection.
CREATE TABLE handoff (
    id UUID NOT NULL PRIMARY KEY,
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    seq BIGINT NOT NULL,
    giver UUID NOT NULL,
    receiver UUID NOT NULL,
    state SMALLINT NOT NULL,
    at BIGINT NOT NULL,
    since BIGINT NOT NULL,
    minutes BIGINT NOT NULL,
    escalated BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    sealed blob NOT NULL
);
CREATE INDEX handoff_patient ON handoff (patient, seq);

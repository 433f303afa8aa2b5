-- The life of notes (owner: features/notes). Projections.

-- Discussions that were opened before they were documented, with who took part sealed. `logged` is the place of the documentation, by
-- `author`.
CREATE TABLE note_marker (
    id UUID NOT NULL PRIMARY KEY,
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    item UUID NOT NULL,
    opener UUID NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    waits BOOLEAN NOT NULL,
    logged BIGINT,
    author UUID,
    sealed blob NOT NULL
);
CREATE INDEX note_marker_waits ON note_marker (patient) WHERE waits;

-- What came of a note later, entry by entry: 1 confirmed, 2 disputed, 3 an addendum, 4 dismissed, 5 reminded of.
CREATE TABLE note_sequel (
    note UUID NOT NULL,
    seq BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    person UUID NOT NULL,
    PRIMARY KEY (note, seq)
);

-- The tables of the append path, and the triggers that keep the record from being rewritten.
-- Split, because the number a database gives a row and the body of a trigger are spelled differently.

-- `n` is the channel's small number inside this database, never shown outside.
CREATE TABLE channel (
    n INTEGER PRIMARY KEY,
    id UUID NOT NULL UNIQUE,
    patient UUID NOT NULL,
    seq BIGINT NOT NULL,
    head blob NOT NULL,
    epoch SMALLINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX channel_patient ON channel (patient);

-- `n` is the order of writing. No further index: each is one more dirty page per entry.
CREATE TABLE entry (
    n INTEGER PRIMARY KEY,
    channel BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    id UUID NOT NULL,
    kind SMALLINT NOT NULL,
    flags SMALLINT NOT NULL,
    event TEXT NOT NULL,
    author UUID NOT NULL,
    at BIGINT NOT NULL,
    item UUID,
    body blob NOT NULL,
    commitment blob NOT NULL,
    files blob,
    head blob NOT NULL,
    epoch SMALLINT NOT NULL,
    key UUID,
    key_scope BIGINT,
    mac blob,
    mac_version INTEGER
);
CREATE UNIQUE INDEX entry_seq ON entry (channel, seq);
CREATE UNIQUE INDEX entry_key ON entry (author, key, key_scope) WHERE key IS NOT NULL;

-- Clustered by (stream, n): rows of a stream land at one end, one dirty page where a rowid table has two.
CREATE TABLE audit (
    stream BIGINT NOT NULL,
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    line TEXT NOT NULL,
    head blob NOT NULL,
    PRIMARY KEY (stream, n)
) WITHOUT ROWID;

CREATE TRIGGER entry_keep_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entry_keep_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
CREATE TRIGGER audit_keep_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END;
CREATE TRIGGER audit_keep_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END;

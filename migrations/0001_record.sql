-- The kernel's tables that read alike on both databases. Times are microseconds, ids 16 bytes, blobs sealed or hashes.

-- One row per patient: what writers lock on PostgreSQL (SQLite has one writer).
CREATE TABLE patient (
    id UUID NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    key_version BIGINT NOT NULL
);

-- Named things: where an id is looked up without knowing its feature.
CREATE TABLE thing (
    id UUID NOT NULL PRIMARY KEY,
    kind SMALLINT NOT NULL,
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    item UUID,
    author UUID NOT NULL,
    seq BIGINT NOT NULL,
    open BOOLEAN NOT NULL,
    shared BOOLEAN NOT NULL,
    state SMALLINT NOT NULL,
    entry UUID NOT NULL
);

-- Single values of the deployment: its id, the schema of sealed values.
CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value blob NOT NULL
);

-- Leaves of the site log (RFC 9162), in the order appended.
CREATE TABLE site_leaf (
    n BIGINT NOT NULL PRIMARY KEY,
    hash blob NOT NULL,
    note TEXT NOT NULL
);

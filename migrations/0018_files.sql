-- Files that were uploaded (owner: features/files). Their bytes lie sealed in the data folder, `files/<id>`.

-- One row a file, from its upload on.
CREATE TABLE file (
    id UUID NOT NULL PRIMARY KEY,
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    uploader UUID NOT NULL,
    at BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    manifest blob NOT NULL
);
CREATE INDEX file_channel ON file (channel);
CREATE INDEX file_uploader ON file (uploader, at);

-- Which entries carry it, at which place of their list. A projection.
CREATE TABLE attached_file (
    channel UUID NOT NULL,
    seq BIGINT NOT NULL,
    place BIGINT NOT NULL,
    file UUID NOT NULL,
    withheld BOOLEAN NOT NULL,
    PRIMARY KEY (channel, seq, place)
);
CREATE INDEX attached_file_file ON attached_file (file);

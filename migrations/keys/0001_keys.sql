-- Wrapped data keys. `owner` is a patient's id, or a fixed filling for the system key, the signer and backups.
CREATE TABLE wrapped_key (
    owner UUID NOT NULL,
    version BIGINT NOT NULL,
    kek_version BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    blob blob NOT NULL,
    PRIMARY KEY (owner, version)
);

-- Who signs in, and with what (owner: features/identity). What a person may do stands in `person` (kernel/policy).
-- Names are sealed under the system key, passwords and tokens are kept as hashes only.

CREATE TABLE organization (
  id UUID NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  custodian BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE account (
  id UUID NOT NULL PRIMARY KEY,
  handle TEXT NOT NULL,
  folded TEXT NOT NULL UNIQUE,
  revision BIGINT NOT NULL,
  name blob NOT NULL,
  profession TEXT,
  organization UUID,
  password_hash TEXT,
  created_at BIGINT NOT NULL
);

CREATE TABLE session (
  id UUID NOT NULL PRIMARY KEY,
  account UUID NOT NULL,
  kind SMALLINT NOT NULL,
  token_hash blob NOT NULL UNIQUE,
  label TEXT,
  address TEXT,
  created_at BIGINT NOT NULL,
  active_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  stepped_up_until BIGINT NOT NULL,
  ended BIGINT
);
CREATE INDEX session_account ON session (account);

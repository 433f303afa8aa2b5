-- E-mail in (owners: features/identity for the first table, features/intake for the rest). None of them is a projection.

-- The addresses by which people are known as senders: found by a MAC, sealed under the system key.
CREATE TABLE account_address (
  mac blob NOT NULL PRIMARY KEY,
  id UUID NOT NULL,
  account UUID NOT NULL,
  sealed blob NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX account_address_account ON account_address (account);

-- The code of a channel's address, made when it is first asked for: found by a MAC, sealed under the patient's key.
CREATE TABLE mail_code (
  channel UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  mac blob NOT NULL,
  sealed blob NOT NULL
);
CREATE UNIQUE INDEX mail_code_mac ON mail_code (mac);

-- Mails a channel has as notes, by a MAC of their Message-ID or bytes, and where.
CREATE TABLE mail_seen (
  channel UUID NOT NULL,
  mac blob NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (channel, mac)
);

-- Mails that wait for a person, and what became of them. State 0 waits, 1 is filed, 2 is discarded. `original` is the mail while it waits, sealed under the
-- patient's key, or under the system's where no patient was found; `domain` (of the sender) and `word` (why it was discarded) are sealed
-- under the system key.
CREATE TABLE mail_waiting (
  id UUID NOT NULL PRIMARY KEY,
  mac blob NOT NULL,
  patient UUID,
  channel UUID,
  item UUID,
  sender UUID,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  state SMALLINT NOT NULL,
  settled_by UUID,
  settled_at BIGINT,
  word blob,
  domain blob NOT NULL,
  original blob
);
CREATE INDEX mail_waiting_patient ON mail_waiting (patient, state);
CREATE INDEX mail_waiting_mac ON mail_waiting (mac);

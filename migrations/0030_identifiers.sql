-- The numbers that others know an account's person by, as a national register of practitioners gives them (owner: features/identity):
-- found by a MAC, sealed under the system key. One number is one person's.
CREATE TABLE account_identifier (
  mac blob NOT NULL PRIMARY KEY,
  id UUID NOT NULL,
  account UUID NOT NULL,
  sealed blob NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX account_identifier_account ON account_identifier (account);

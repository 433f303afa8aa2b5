-- Names of conversations, and how far each person has read (owner: features/channels).

-- A projection: name and purpose, sealed under the revision beside them.
CREATE TABLE channel_view (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  revision BIGINT NOT NULL,
  sealed blob NOT NULL
);
CREATE INDEX channel_view_patient ON channel_view (patient);

-- Not a projection: what a person has read is no fact of the record.
CREATE TABLE read_position (
  person UUID NOT NULL,
  channel UUID NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (person, channel)
);

-- Receipts, muted channels, and what people say of themselves (owner: features/channels). No projections: none of it is a fact of the
-- record, and a rebuild leaves it alone. Steps are kept because a receipt says how things stood when a message was posted.

-- Each move of a read position: an entry was read when the position first came to it or passed it.
CREATE TABLE read_step (
  person UUID NOT NULL,
  channel UUID NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (person, channel, seq)
);
CREATE INDEX read_position_channel ON read_position (channel);

-- Which of 256 entries were written out to somebody, and when: a few bytes an entry, as base64 (features/channels/receipts/spans.rs).
CREATE TABLE delivered (
  channel UUID NOT NULL,
  page BIGINT NOT NULL,
  person UUID NOT NULL,
  spans TEXT NOT NULL,
  PRIMARY KEY (channel, page, person)
);

CREATE TABLE mute_step (
  channel UUID NOT NULL,
  person UUID NOT NULL,
  at BIGINT NOT NULL,
  muted BOOLEAN NOT NULL,
  until BIGINT,
  PRIMARY KEY (channel, person, at)
);
CREATE INDEX mute_step_person ON mute_step (person, channel, at);

CREATE TABLE attention_step (
  person UUID NOT NULL,
  at BIGINT NOT NULL,
  attention SMALLINT NOT NULL,
  until BIGINT,
  PRIMARY KEY (person, at)
);

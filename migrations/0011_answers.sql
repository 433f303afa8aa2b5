-- Answers to messages, and messages that went to the wrong patient.

-- A projection: the answer of each reader to a message that asks for one (owner: features/channels). Kind 1 is an acknowledgement, 2 the
-- newest check-back, with the time the author confirmed it.
CREATE TABLE message_answer (
  message UUID NOT NULL,
  person UUID NOT NULL,
  kind SMALLINT NOT NULL,
  entry UUID NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  confirmed BIGINT,
  PRIMARY KEY (message, person)
);

-- A projection: entries whose content is not read any more, with the word that says why (owner: kernel/log). `channel` is its number.
CREATE TABLE withheld (
  channel BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (channel, seq)
);

-- Not a projection: what was moved from one record to another, and before whose eyes it had come by then (owner: features/channels). No
-- entry names both records. The reason is sealed under the key of the patient whose record it did not belong to.
CREATE TABLE misfiled (
  message UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  channel UUID NOT NULL,
  seq BIGINT NOT NULL,
  retracted BIGINT NOT NULL,
  author UUID NOT NULL,
  mover UUID NOT NULL,
  at BIGINT NOT NULL,
  moved UUID NOT NULL,
  moved_patient UUID NOT NULL,
  moved_channel UUID NOT NULL,
  moved_seq BIGINT NOT NULL,
  reason blob NOT NULL
);
CREATE UNIQUE INDEX misfiled_moved ON misfiled (moved);
CREATE INDEX misfiled_at ON misfiled (at);

-- Those it had come before: sent to a socket or in a page, and marked as read.
CREATE TABLE misfiled_exposure (
  message UUID NOT NULL,
  person UUID NOT NULL,
  sent BIGINT,
  has_read BOOLEAN NOT NULL,
  read_at BIGINT,
  PRIMARY KEY (message, person)
);

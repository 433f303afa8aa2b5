-- Check-ins, and messages that wait for one.

-- A projection: the schedule of a channel (owner: features/checkins). `seq` is the place of the entry that says it.
CREATE TABLE checkin_schedule (
  channel UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  seq BIGINT NOT NULL,
  next_at BIGINT
);

-- A projection: each check-in (owner: features/checkins). What is asked and who is expected stand in the entry at `seq`.
CREATE TABLE checkin (
  id UUID NOT NULL PRIMARY KEY,
  channel UUID NOT NULL,
  patient UUID NOT NULL,
  seq BIGINT NOT NULL,
  open BOOLEAN NOT NULL
);
CREATE INDEX checkin_channel ON checkin (channel, seq);

-- A projection: who has answered (owner: features/checkins).
CREATE TABLE checkin_answer (
  checkin UUID NOT NULL,
  person UUID NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (checkin, person)
);

-- A projection: until when a channel holds back what waits for its check-in (owner: features/channels).
CREATE TABLE message_hold (
  channel UUID NOT NULL PRIMARY KEY,
  until BIGINT NOT NULL
);

-- Not a projection: messages that wait (owner: features/channels). State 0 waits, 1 was posted, 2 was dropped, 3 was withdrawn; what waits no
-- more has lost its content and is kept so that a repeat of its command is known. `n` is the order in the channel.
CREATE TABLE held_message (
  id UUID NOT NULL PRIMARY KEY,
  channel UUID NOT NULL,
  patient UUID NOT NULL,
  author UUID NOT NULL,
  n BIGINT NOT NULL,
  at BIGINT NOT NULL,
  until BIGINT NOT NULL,
  state SMALLINT NOT NULL,
  command UUID,
  mac blob,
  mac_version BIGINT,
  sealed blob
);
CREATE INDEX held_message_channel ON held_message (channel, n);
CREATE INDEX held_message_command ON held_message (author, command);

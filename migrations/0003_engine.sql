-- Channel `me`: facts for one person, outside the record, ids only (owner: kernel/engine). Kept 30 days.

CREATE TABLE me_event (
  person UUID NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  event TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (person, seq)
);

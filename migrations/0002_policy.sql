-- Who may do what (owner: kernel/policy). Dated intervals, never overwritten memberships.

CREATE TABLE person (
  id UUID NOT NULL PRIMARY KEY,
  kind SMALLINT NOT NULL,
  roles SMALLINT NOT NULL,
  active BOOLEAN NOT NULL,
  epoch BIGINT NOT NULL
);

CREATE TABLE membership (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  member UUID NOT NULL,
  family BOOLEAN NOT NULL,
  lead BOOLEAN NOT NULL,
  plan BOOLEAN NOT NULL,
  barriers BOOLEAN NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT,
  ended BIGINT,
  role blob NOT NULL
);
CREATE INDEX membership_patient ON membership (patient);
CREATE INDEX membership_member ON membership (member);

CREATE TABLE audience (
  channel UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  audience SMALLINT NOT NULL,
  kind SMALLINT NOT NULL,
  archived BOOLEAN NOT NULL
);
CREATE INDEX audience_patient ON audience (patient);

CREATE TABLE reader (
  channel UUID NOT NULL,
  member UUID NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT,
  PRIMARY KEY (channel, member, since)
);

-- What is read again from a source (owner: features/care_plan). Neither is a projection: sources stand nowhere else.

-- An item that was changed here and at its source: the source's version both began with (none for what was imported before versions
-- were told apart), and its newest. Open until it is settled.
CREATE TABLE plan_conflict (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  item UUID NOT NULL,
  base UUID,
  theirs UUID NOT NULL,
  at BIGINT NOT NULL,
  settled_at BIGINT
);
CREATE UNIQUE INDEX plan_conflict_open ON plan_conflict (item) WHERE settled_at IS NULL;
CREATE INDEX plan_conflict_patient ON plan_conflict (patient);

-- Which items a CarePlan named when it was last read, and which of a patient's a server held: `collection` is the MAC of either.
CREATE TABLE imported_member (
  patient UUID NOT NULL,
  collection blob NOT NULL,
  item UUID NOT NULL,
  PRIMARY KEY (patient, collection, item)
);

-- A projection: the changes of an item after which whatever was linked to it is to be looked at again (owner: features/care_plan). `rev` is
-- the item's number after such a change.
CREATE TABLE plan_meaning (
  item UUID NOT NULL,
  rev BIGINT NOT NULL,
  patient UUID NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (item, rev)
);
CREATE INDEX plan_meaning_patient ON plan_meaning (patient);

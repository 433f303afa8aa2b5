-- A projection: what waits on a plan item for somebody to act (owner: features/care_plan). `source` is the task, note, handoff or message;
-- where its entry stands decides who is shown it. Either a person or a responsibility holds it.
CREATE TABLE plan_claim (
  source UUID NOT NULL PRIMARY KEY,
  item UUID NOT NULL,
  patient UUID NOT NULL,
  channel UUID NOT NULL,
  seq BIGINT NOT NULL,
  holder_user UUID,
  holder_responsibility SMALLINT,
  due BIGINT,
  weight SMALLINT NOT NULL,
  why SMALLINT NOT NULL
);
CREATE INDEX plan_claim_patient ON plan_claim (patient);

-- Tasks as they stand (owner: features/tasks). A projection: what a task says is sealed under the revision beside it, the `seq` of the
-- newest entry about it. In the clear stands what is counted, ordered and looked for; `owner_responsibility` and `owner_user` exclude
-- each other, `ended` is when nothing more was to be done, `origin` the message or note it was made from.
CREATE TABLE task (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  channel UUID NOT NULL,
  item UUID NOT NULL,
  item_version BIGINT NOT NULL,
  state SMALLINT NOT NULL,
  owner_user UUID,
  owner_responsibility SMALLINT,
  place TEXT NOT NULL,
  ended BIGINT,
  origin UUID,
  revision BIGINT NOT NULL,
  view blob NOT NULL
);
CREATE INDEX task_patient ON task (patient, ended);
CREATE INDEX task_origin ON task (origin) WHERE origin IS NOT NULL;

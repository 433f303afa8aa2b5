-- The plan as it stands (owner: features/care_plan), and what imports brought, kept byte for byte.

CREATE TABLE plan_item (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  kind SMALLINT,
  standing SMALLINT,
  status TEXT NOT NULL,
  open BOOLEAN NOT NULL,
  shared BOOLEAN NOT NULL,
  rev BIGINT NOT NULL,
  place BIGINT NOT NULL,
  view blob NOT NULL
);
CREATE INDEX plan_item_patient ON plan_item (patient);

-- Not a projection: the sources stand nowhere else. One row a version; `mac` is of the source's key, `content` of its bytes.
CREATE TABLE imported_resource (
  id UUID NOT NULL PRIMARY KEY,
  patient UUID NOT NULL,
  item UUID,
  mac blob NOT NULL,
  content blob NOT NULL,
  revision BIGINT NOT NULL,
  sealed blob NOT NULL
);
CREATE UNIQUE INDEX imported_resource_mac ON imported_resource (mac, patient, revision);
CREATE INDEX imported_resource_patient ON imported_resource (patient);

-- What an imported resource is found by besides its key.
CREATE TABLE imported_identifier (
  mac blob NOT NULL,
  resource UUID NOT NULL,
  PRIMARY KEY (mac, resource)
);

-- Counts on plan items. It costs each message one more dirty page, mostly the same one: what is written about an item stands
-- together. Without it every look at a plan would read all that was ever said.
CREATE INDEX thing_item ON thing (item) WHERE item IS NOT NULL;

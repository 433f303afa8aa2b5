-- Patients as they are shown and found (owner: features/patients).

CREATE TABLE patient_view (
  id UUID NOT NULL PRIMARY KEY,
  plan_channel UUID NOT NULL,
  revision BIGINT NOT NULL,
  identity blob NOT NULL
);

-- What an identifier is found by: a MAC under the system key, which tells nothing but equality. Two charts may share one.
CREATE TABLE patient_identifier (
  mac blob NOT NULL,
  patient UUID NOT NULL,
  PRIMARY KEY (mac, patient)
);

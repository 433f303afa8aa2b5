-- What each form of export has had of each channel (owner: features/chart). Not a projection: whether a file was taken over by a
-- chart is no fact of the record; that it was filed is (`export.filed`).

CREATE TABLE export_range (
  patient UUID NOT NULL,
  form TEXT NOT NULL,
  channel UUID NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  horizon BIGINT NOT NULL,
  PRIMARY KEY (patient, form, channel, first)
);

-- Absence and cover, and records that are closed (owner: kernel/policy). Projections.

-- Who stands in for whom, in what, from when to when.
CREATE TABLE cover (
    id UUID NOT NULL PRIMARY KEY,
    patient UUID NOT NULL,
    responsibility SMALLINT NOT NULL,
    absent UUID NOT NULL,
    stand_in UUID NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX cover_patient ON cover (patient);

-- Patients whose record is read-only.
CREATE TABLE closed_record (
    patient UUID NOT NULL PRIMARY KEY
);

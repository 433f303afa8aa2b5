-- Exports on their way to the chart (owner: chart/exports). No projection of the log: a draft is no entry yet, and what a receiver holds is
-- known from its answers only. `state` is that of exports/model.rs; `sealed` holds everything that says something about the patient.
CREATE TABLE chart_export (
    id UUID PRIMARY KEY,
    patient UUID NOT NULL,
    drafter UUID NOT NULL,
    state SMALLINT NOT NULL,
    target TEXT,
    form TEXT NOT NULL,
    at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    parcels BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT,
    draft_key UUID,
    sealed blob NOT NULL
);
CREATE INDEX chart_export_patient ON chart_export (patient, at);
CREATE INDEX chart_export_due ON chart_export (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX chart_export_key ON chart_export (drafter, draft_key) WHERE draft_key IS NOT NULL;

-- What is sent at once, the same bytes at each attempt: kept until its filing is over.
CREATE TABLE chart_parcel (
    export UUID NOT NULL,
    n BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    revision BIGINT NOT NULL,
    sealed blob NOT NULL,
    PRIMARY KEY (export, n)
);

-- The gap ledger: what each receiver holds of each resource of ours. `hash` is that of what was sent last.
CREATE TABLE chart_ledger (
    target TEXT NOT NULL,
    resource UUID NOT NULL,
    patient UUID NOT NULL,
    export UUID NOT NULL,
    state SMALLINT NOT NULL,
    attempts BIGINT NOT NULL,
    at BIGINT NOT NULL,
    hash blob NOT NULL,
    revision BIGINT NOT NULL,
    sealed blob NOT NULL,
    PRIMARY KEY (target, resource)
);
CREATE INDEX chart_ledger_patient ON chart_ledger (patient, target);

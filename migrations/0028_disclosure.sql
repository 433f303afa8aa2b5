-- Where the record of each patient left the server: the accounting of disclosures (owner: features/chart/disclosure). A projection:
-- what left, to whom and why stands in the entry `export.filed`.
CREATE TABLE disclosure (
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (patient, seq)
);

INSERT INTO disclosure (patient, channel, seq, at)
SELECT channel.patient, channel.id, entry.seq, entry.at
FROM entry JOIN channel ON channel.n = entry.channel
WHERE entry.event = 'export.filed';

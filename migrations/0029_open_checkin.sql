-- The check-ins of a patient that can be answered now, for the board.
CREATE INDEX checkin_open ON checkin (patient, id) WHERE open;

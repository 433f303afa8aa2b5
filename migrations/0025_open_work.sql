-- Open notes, tasks and handoffs of a patient: what is settled before a record is closed (owner: kernel/log). It costs messages nothing.
CREATE INDEX thing_work ON thing (patient) WHERE open AND kind IN (3, 4, 5);

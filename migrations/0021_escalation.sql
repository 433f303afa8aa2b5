-- Threads of tasks, and messages that wait for an answer (owner: features/channels). Projections.

-- Which task a message names; a message that was taken back names none.
CREATE TABLE message_task (
    message UUID NOT NULL PRIMARY KEY,
    task UUID NOT NULL,
    channel UUID NOT NULL,
    seq BIGINT NOT NULL
);
CREATE INDEX message_task_task ON message_task (task, seq);

-- What a message asks, of whom, and how far it went up. `every` is its deadline in microseconds, `asked` and `reached` are lists of people.
CREATE TABLE message_ask (
    message UUID NOT NULL PRIMARY KEY,
    patient UUID NOT NULL,
    channel UUID NOT NULL,
    seq BIGINT NOT NULL,
    item UUID NOT NULL,
    item_version BIGINT NOT NULL,
    author UUID NOT NULL,
    priority SMALLINT NOT NULL,
    every BIGINT NOT NULL,
    posted BIGINT NOT NULL,
    asked TEXT NOT NULL,
    reached TEXT NOT NULL,
    rounds BIGINT NOT NULL,
    step BIGINT NOT NULL,
    ended BIGINT
);
CREATE INDEX message_ask_item ON message_ask (item);

-- Each time it was said again: step 0 to those asked, 1 to the responsible, from 2 on to the lead.
CREATE TABLE message_ask_step (
    message UUID NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    step BIGINT NOT NULL,
    people TEXT NOT NULL,
    PRIMARY KEY (message, seq)
);

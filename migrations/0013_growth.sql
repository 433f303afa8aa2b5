-- What keeps the cost of signing, proving and starting with what is new, not with what there is (owner: kernel/log).

-- Roots of the complete subtrees of the site log's Merkle tree, from two leaves up: `n` = place * 64 + level. With them a root, an
-- inclusion proof or one leaf more costs a look at each level instead of at every leaf.
CREATE TABLE site_node (
    n BIGINT NOT NULL PRIMARY KEY,
    hash blob NOT NULL
);

-- The newest signed head of each channel: its size and its leaf in the site log.
CREATE TABLE signed_head (
    channel UUID NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    leaf BIGINT NOT NULL
);

-- The same of each audit stream.
CREATE TABLE signed_stream (
    stream BIGINT NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL,
    leaf BIGINT NOT NULL
);

-- Channels that a walk found broken: nothing is written to them until a walk finds them whole.
CREATE TABLE held_channel (
    channel UUID NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);

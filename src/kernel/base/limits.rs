//! Every bound on what a peer can make us hold or do, with its reason.

//! Accounts, organizations, sessions, tokens, sign-in.

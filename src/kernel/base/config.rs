//! Configuration: built-in < TOML file < environment < flags.

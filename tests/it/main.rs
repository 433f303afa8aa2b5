//! The program seen from outside: through sockets, HTTP routes, the command line and the files it leaves. Each test has a server of
//! its own in a folder of its own, so that all of them run side by side.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a failure shows the seed and the server's last words")]

/// A test, written once, that runs on both databases: stands before `async fn name()`.
macro_rules! both {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                crate::database::on(crate::database::Database::Sqlite, super::$name()).await;
            }

            #[tokio::test]
            async fn postgres() {
                crate::database::on(crate::database::Database::Postgres, super::$name()).await;
            }
        }
    };
}

/// A test about something that only one of the databases has; says what.
macro_rules! sqlite_only {
    ($name:ident, $why:literal) => {
        mod $name {
            #[doc = $why]
            #[tokio::test]
            async fn sqlite() {
                crate::database::on(crate::database::Database::Sqlite, super::$name()).await;
            }
        }
    };
}

/// A test that says itself where the record lies.
macro_rules! placed {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn itself() {
                crate::database::on(crate::database::Database::Sqlite, super::$name()).await;
            }
        }
    };
}

#[path = "../postgres/mod.rs"]
mod postgres;

#[path = "../postgres/own.rs"]
mod own;

mod chance;
mod clock;
mod cut;
mod database;
mod desk;
mod document;
mod http;
mod raw;
mod server;
mod socket;
mod ward;

mod asks;
mod attested;
mod bad_input;
mod chart;
mod command_line;
mod day;
mod export_options;
mod faults;
mod files;
mod filing;
mod filing_corrected;
mod filing_faults;
mod filing_forms;
mod filing_killed;
mod filing_samples;
mod foreign;
mod golden;
mod growth;
mod harness;
mod heads;
mod import;
mod import_again;
mod intake;
mod law1;
mod law2;
mod law2_board;
mod law3;
mod law3_proof;
mod law4;
mod law4_live;
mod law5;
mod law6;
mod law7;
mod law9;
mod law9_work;
mod limits;
mod openapi;
mod operations;
mod peers;
mod postgres_faults;
mod postgres_place;
mod presence;
mod preview;
mod protocol_page;
mod receipts;
mod search;
mod serving;
mod sse;
mod targets;
mod targets_mllp;
mod transcript;
mod typescript;
mod web;
mod wrong_patient;

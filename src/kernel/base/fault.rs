//! Our own failures: logged once where they are handled, shown to the caller as `internal`.

use super::refusal::{Code, Refusal};

/// What went wrong on our side. Never holds patient text: database errors are reduced to their code before they are shown.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database refused or failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A sealed value did not open, a chain did not hold: the integrity alarm.
    #[error("integrity: {0}")]
    Integrity(&'static str),
    /// No key is loaded.
    #[error("sealed: no key is loaded")]
    Sealed,
    /// A file or socket of ours failed.
    #[error("input/output: {0}")]
    Io(#[from] std::io::Error),
    /// A promise inside the program was broken.
    #[error("defect: {0}")]
    Defect(&'static str),
}

impl Fault {
    /// The database is a server that is away, goes away or comes back: whoever comes again later may find it there.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            // Configuration: a new connection was refused, because the server is not fit.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Configuration(_) => {
                true
            }
            // 08 connection, 25P03 idle in transaction for too long, 25006 read only, 40001 and 40P01 somebody else was first, 53300
            // too many connections, 55P03 somebody holds a row for too long, 57P shutdown and start (PostgreSQL documentation,
            // appendix A). SQLite's codes are numbers of one to four digits.
            sqlx::Error::Database(refused) => {
                let classes = ["08", "25P03", "25006", "40001", "40P01", "53300", "55P03", "57P"];
                refused
                    .code()
                    .is_some_and(|code| code.len() == 5 && classes.iter().any(|class| code.starts_with(class)))
            }
            _ => false,
        }
    }
}

/// The two kinds of "no": an answer to the caller, or a failure of ours.
#[derive(Debug)]
pub enum Stop {
    /// Said to the caller.
    Refused(Refusal),
    /// Logged, shown as `internal` (or `busy`, `sealed`).
    Failed(Fault),
}

impl Stop {
    /// What the caller is told. A failure shows nothing of itself.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Failed(Fault::Sealed) => Refusal::new(Code::Sealed),
            Self::Failed(fault) if fault.is_away() => {
                Refusal::new(Code::Busy).detail("The database does not answer. Try again.").retry_after_ms(1000)
            }
            Self::Failed(_) => Refusal::new(Code::Internal).detail(
                "The outcome is unknown. Repeat with the same key; the first result is returned if it was kept.",
            ),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<F: Into<Fault>> From<F> for Stop {
    fn from(fault: F) -> Self {
        Self::Failed(fault.into())
    }
}

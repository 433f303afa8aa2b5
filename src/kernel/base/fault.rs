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
            // No connection was to be had, so nothing was done.
            Self::Failed(Fault::Database(sqlx::Error::PoolTimedOut)) => {
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

//! One thing that was looked at: how it is, what was found, and what to do about it.

use serde::Serialize;

/// How something is.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or will not for long.
    Problem,
}

/// What was looked at.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Which thing: the same word in every version.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found, a sentence without its full stop. No word of the record.
    pub found: String,
    /// What to do; none when nothing is to be done.
    pub mend: Option<String>,
}

impl Check {
    /// Nothing is to be done.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), mend: None }
    }

    /// Somebody should look at it.
    pub fn warning(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    /// It does not work.
    pub fn problem(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Problem, found: found.into(), mend: Some(mend.into()) }
    }

    /// For a person: one line, and a second one with what to do.
    pub fn lines(&self) -> Vec<String> {
        let word = match self.state {
            State::Ok => "ok     ",
            State::Warning => "WARNING",
            State::Problem => "PROBLEM",
        };
        let mut lines = vec![format!("{word}  {:<13}  {}", self.name, self.found)];
        lines.extend(self.mend.iter().map(|mend| format!("{:24}-> {mend}", "")));
        lines
    }
}

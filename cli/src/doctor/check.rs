//! A check and what it found.

use std::fmt;

use serde::Serialize;

/// Whether recording works here, as far as one check can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Nothing to do.
    Ok,
    /// Recording works, with less than one would wish for.
    Warn,
    /// Recording does not work.
    Fail,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// One word.
    pub(crate) name: &'static str,
    /// What it means.
    pub(crate) state: State,
    /// What was found, in words.
    pub(crate) found: String,
    /// What to do about it, unless all is well.
    pub(crate) remedy: Option<&'static str>,
    /// The figures in `found`, by name.
    pub(crate) figures: serde_json::Map<String, serde_json::Value>,
}

impl Check {
    /// All is well.
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check {
            name,
            state: State::Ok,
            found: found.into(),
            remedy: None,
            figures: serde_json::Map::new(),
        }
    }

    /// The same check with a figure.
    pub(crate) fn with(mut self, name: &str, figure: impl Into<serde_json::Value>) -> Check {
        self.figures.insert(name.to_owned(), figure.into());
        self
    }

    /// The same check, a warning where `is_poor`.
    pub(crate) fn warn_if(self, is_poor: bool, remedy: &'static str) -> Check {
        self.at_least(State::Warn, is_poor, remedy)
    }

    /// The same check, failed where `is_unfit`.
    pub(crate) fn fail_if(self, is_unfit: bool, remedy: &'static str) -> Check {
        self.at_least(State::Fail, is_unfit, remedy)
    }

    fn at_least(mut self, state: State, applies: bool, remedy: &'static str) -> Check {
        if applies {
            (self.state, self.remedy) = (state, Some(remedy));
        }
        self
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        write!(f, "{state:<5} {:<12} {}", self.name, self.found)?;
        match self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

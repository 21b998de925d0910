//! What one look came to.

use std::fmt::Display;

use crate::exit::Failure;
use crate::wire;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Fine,
    Fault,
    /// It could not be made; the detail says why.
    Skipped,
}

/// One check, made or not.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) detail: String,
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(crate) fn fine(name: &'static str, detail: impl Display) -> Self {
        Self {
            name,
            state: State::Fine,
            detail: detail.to_string(),
            remedy: None,
        }
    }

    pub(crate) fn fault(name: &'static str, detail: impl Display, remedy: impl Display) -> Self {
        Self {
            state: State::Fault,
            remedy: Some(remedy.to_string()),
            ..Self::fine(name, detail)
        }
    }

    pub(crate) fn skipped(name: &'static str, why: impl Display) -> Self {
        Self {
            state: State::Skipped,
            ..Self::fine(name, why)
        }
    }

    /// A failure as the command itself would report it: our messages are the fact, a semicolon, and what to do. Where
    /// one gives no advice, `otherwise` is it.
    pub(crate) fn failure(name: &'static str, failure: &Failure, otherwise: &str) -> Self {
        let (fact, advice) = failure
            .message
            .split_once("; ")
            .unwrap_or((&failure.message, otherwise));
        let mut detail = fact.to_owned();
        for cause in &failure.causes {
            detail.push_str(": ");
            detail.push_str(cause);
        }
        Self::fault(name, detail, advice)
    }

    pub(crate) fn to_wire(&self) -> wire::Finding {
        wire::Finding {
            name: self.name,
            ok: self.state != State::Fault,
            skipped: self.state == State::Skipped,
            detail: self.detail.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

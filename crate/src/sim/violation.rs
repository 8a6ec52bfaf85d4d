//! What a check reports.

use std::fmt;

use crate::protocol::time::Time;

/// Something that must never happen did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Time,
    pub text: String,
}

impl Violation {
    pub fn new(at: Time, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} us: {}", self.at.micros(), self.text)
    }
}

impl std::error::Error for Violation {}

//! A violated invariant.

use std::fmt;

use crate::protocol::time::Time;

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When a check found it.
    pub at: Time,
    /// What was violated.
    pub text: String,
}

impl Violation {
    /// A violation that a check found at this time.
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

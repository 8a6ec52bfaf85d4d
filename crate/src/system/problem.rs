//! Problems for the log.

/// Something that works less well than asked for, or not at all any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The system's name of an error, or one of ours.
    pub code: String,
    /// One sentence.
    pub message: String,
}

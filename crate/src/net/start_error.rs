//! Why a thread with a socket cannot be started.

use nix::errno::Errno;
use thiserror::Error;

use crate::system::state_file::StateFileError;

/// Why a thread with a socket cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot bind the UDP socket: {}", .0.desc())]
    Bind(Errno),
    /// Another process has the state file.
    #[error("the state file {0} is in use: another process has it and is alive")]
    ResumeBusy(String),
    /// The state file cannot be used.
    #[error("`resume`: expected a path in a folder of a file system whose files can be mapped, got {path}: {error}")]
    StateFile {
        /// The path.
        path: String,
        /// Why it cannot be used.
        error: StateFileError,
    },
    /// Another call of the system failed.
    #[error("cannot set the engine up: {}", .0.desc())]
    System(Errno),
    /// A call of the standard library failed.
    #[error("cannot set the engine up: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Errno> for StartError {
    fn from(errno: Errno) -> Self {
        StartError::System(errno)
    }
}

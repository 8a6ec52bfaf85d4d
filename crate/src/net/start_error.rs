//! Why a thread with a socket cannot be started.

use nix::errno::Errno;
use thiserror::Error;

/// Why a thread with a socket cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot bind the UDP socket: {}", .0.desc())]
    Bind(Errno),
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

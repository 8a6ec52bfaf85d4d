//! Why a thread with a socket cannot be started.

use nix::errno::Errno;
use thiserror::Error;

/// Why a thread with a socket cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot bind the UDP socket: {}", .0.desc())]
    Bind(Errno),
    #[error("cannot set the engine up: {}", .0.desc())]
    System(Errno),
    #[error("cannot set the engine up: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Errno> for StartError {
    fn from(errno: Errno) -> Self {
        StartError::System(errno)
    }
}

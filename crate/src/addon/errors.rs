//! Errors for JavaScript, with stable codes.

use napi::bindgen_prelude::*;
use nix::errno::Errno;

use crate::driver::handle::NoAnswer;
use crate::net::start_error::StartError;
use crate::routes::kernel_route::{RouteError, SystemError};
use crate::system::state_file::StateFileError;

/// An error whose `code` is one of our own or the system's name of the error.
pub(super) type Coded = napi::Error<String>;

pub(super) fn coded(code: impl Into<String>, message: impl Into<String>) -> Coded {
    Coded::new(code.into(), message.into())
}

pub(super) fn closed() -> Coded {
    coded("ERR_CLOSED", "the engine is closed")
}

/// The system's name of an error, as in Node.
pub(super) fn name_of(errno: Errno) -> String {
    format!("{errno:?}")
}

pub(super) fn code_of(error: &RouteError) -> String {
    match error {
        RouteError::Conflict(_) => "ERR_ROUTE_CONFLICT".into(),
        RouteError::System(SystemError(number)) => name_of(Errno::from_raw(*number)),
        RouteError::CannotStart(_) => "ERR_NETLINK_UNAVAILABLE".into(),
        RouteError::Occupied => "EEXIST".into(),
        RouteError::Unanswered => "ENOBUFS".into(),
        RouteError::NoNumber => "ERR_ROUTE_BACKEND".into(),
    }
}

pub(super) fn from_start(error: &StartError) -> Coded {
    match error {
        StartError::Bind(errno) | StartError::System(errno) => coded(name_of(*errno), error.to_string()),
        StartError::ResumeBusy(_) => coded("ERR_RESUME_BUSY", error.to_string()),
        StartError::StateFile { error: StateFileError::System { error: cause, .. }, .. } => {
            coded(from_io(cause).status.clone(), error.to_string())
        }
        StartError::StateFile { .. } => coded("ERR_RESUME_BUSY", error.to_string()),
        StartError::Io(error) => from_io(error),
    }
}

pub(super) fn from_io(error: &std::io::Error) -> Coded {
    coded(name_of(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)), error.to_string())
}

pub(super) fn from_route(error: &RouteError) -> Coded {
    coded(code_of(error), error.to_string())
}

impl From<NoAnswer> for Coded {
    fn from(error: NoAnswer) -> Self {
        coded("ERR_CLOSED", error.to_string())
    }
}

/// The error as a JavaScript object for the rejection of a promise: a task's own error has no code.
pub(super) fn rejection(env: Env, error: &RouteError) -> napi::Error {
    let build = || -> Result<napi::Error> {
        let mut object = env.create_error(napi::Error::from_reason(error.to_string()))?;
        object.set("code", code_of(error))?;
        Ok(napi::Error::from(object.to_unknown()))
    };
    build().unwrap_or_else(|failure| failure)
}

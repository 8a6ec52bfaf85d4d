//! The N-API layer: classes and conversion, no decisions. `ts/engine/native/binding.ts` declares the same types; both sides change
//! together.

mod auth;
mod delivery;
mod doorbell;
mod engine;
mod errors;
mod object_sweep;
mod objects;
mod routes;
mod rows;
mod simulation;
mod snapshots;
mod statistics;
mod udp;

use napi_derive::napi;
use sd_notify::{NotifyState, notify};

use crate::addon::errors::{Coded, from_io};
use crate::system::big_blocks::BigBlocks;

#[global_allocator]
static ALLOCATOR: BigBlocks = BigBlocks;

/// The version of the package that this addon was built for.
#[napi]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Sends a state such as `READY=1` to the service manager (sd_notify(3)). False where the process is no service of one that wants
/// to be told: `NOTIFY_SOCKET` is not set.
#[napi]
pub fn notify_systemd(state: String) -> std::result::Result<bool, Coded> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(false);
    }
    notify(&[NotifyState::Custom(&state)]).map_err(|error| from_io(&error))?;
    Ok(true)
}

/// Whether the kernel has next-hop objects; false where it cannot be asked.
#[napi]
pub fn has_next_hop_objects() -> bool {
    crate::routes::socket::RouteSocket::new().is_ok_and(|mut socket| socket.has_objects().unwrap_or(false))
}

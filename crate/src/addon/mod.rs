//! The N-API layer: classes and conversion, no decisions. `ts/engine/native/binding.ts` declares the same types; both sides change
//! together.

mod auth;
mod delivery;
mod doorbell;
mod engine;
mod errors;
mod objects;
mod routes;
mod rows;
mod simulation;
mod snapshots;
mod statistics;
mod udp;

use napi_derive::napi;

/// The version of the package that this addon was built for.
#[napi]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

//! The native engine of `route-liveness`: liveness sessions over UDP, in the manner of BFD (RFC 5880), and the kernel
//! routes that follow them.
//!
//! ```text
//!             datagrams, arrival stamps                     deadlines
//!   socket ──────────────┐                          ┌────── timerfd
//!      ▲                 ▼                          ▼
//!      │ batches   ┌───────────────────────────────────┐   changes    ┌─────────┐  requests
//!      └───────────│  driver: one thread, one turn     │─────────────▶│ arming  │──────────▶ kernel's
//!                  │  engine: sessions, queue, no I/O  │              │ a thread│◀────────── routes
//!                  └───────────────────────────────────┘              └─────────┘  answers
//!                        ▲ commands            │ records, at most one     │ outcomes, at most one
//!                        │                     ▼ per session              ▼ per route
//!                      inbox                 mailbox ─── doorbell ──▶ JavaScript drains
//! ```
//!
//! The core has no I/O and no clock: `packet`, `rules`, `session`, `queue`, `calendar`, `index`, `discriminators`, `engine`, `recent_delays`, `stats`, `histogram`, `lateness`,
//! `jitter` and `time` compute, `orders` decides over routes, and `arrival` translates stamps. A test reaches hour three by adding a
//! number. Around it, on Linux:
//! `socket`, `links`, `routes` and `clock` are the only places that touch the kernel, `commands` and `mailbox` the only
//! ones that other threads touch, and `driver` and `arming` the only ones that run. `addon` converts for N-API.

#[cfg(target_os = "linux")]
pub mod driver;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod net;
pub mod protocol;
pub mod routes;
#[cfg(target_os = "linux")]
#[allow(missing_docs, reason = "the fields of scenarios and faults read as what they are")]
pub mod sim;
#[cfg(target_os = "linux")]
pub mod system;

#[cfg(all(feature = "addon", target_os = "linux"))]
#[allow(missing_docs, reason = "`ts/engine/binding.ts` documents what JavaScript sees")]
pub mod addon;

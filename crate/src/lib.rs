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
//! The core has no I/O and no clock: `packet`, `rules`, `session`, `queue`, `calendar`, `index`, `discriminators`, `engine`, `stalls`, `stats`, `histogram`, `lateness`,
//! `jitter` and `time` compute, `orders` decides over routes, and `arrival` translates stamps. A test reaches hour three by adding a
//! number. Around it, on Linux:
//! `socket`, `links`, `routes` and `clock` are the only places that touch the kernel, `inbox` and `mailbox` the only
//! ones that other threads touch, and `driver` and `arming` the only ones that run. `addon` converts for N-API.

pub mod arrival;
pub mod calendar;
pub mod discriminators;
pub mod engine;
pub mod histogram;
pub mod index;
pub mod jitter;
pub mod lateness;
pub mod packet;
pub mod panics;
pub mod queue;
pub mod refusals;
pub mod rules;
pub mod session;
#[cfg(target_os = "linux")]
pub mod shield;
#[cfg(target_os = "linux")]
pub mod sim;
pub mod snapshot;
pub mod stalls;
pub mod stats;
pub mod time;

#[cfg(target_os = "linux")]
pub mod armed;
#[cfg(target_os = "linux")]
pub mod arming;
#[cfg(target_os = "linux")]
pub mod clock;
#[cfg(target_os = "linux")]
pub mod driver;
#[cfg(target_os = "linux")]
pub mod handle;
#[cfg(target_os = "linux")]
pub mod held;
#[cfg(target_os = "linux")]
pub mod inbox;
#[cfg(target_os = "linux")]
pub mod interface_names;
#[cfg(target_os = "linux")]
pub mod kernel_route;
#[cfg(target_os = "linux")]
pub mod links;
#[cfg(target_os = "linux")]
pub mod listener;
#[cfg(target_os = "linux")]
pub mod mailbox;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
pub mod orders;
#[cfg(target_os = "linux")]
pub mod outbox;
#[cfg(target_os = "linux")]
pub mod realtime;
#[cfg(target_os = "linux")]
pub mod route_stats;
#[cfg(target_os = "linux")]
pub mod routes;
#[cfg(target_os = "linux")]
pub mod send_faults;
#[cfg(target_os = "linux")]
pub mod socket;
#[cfg(target_os = "linux")]
mod sync;
#[cfg(target_os = "linux")]
pub mod tables;
#[cfg(target_os = "linux")]
pub mod watch;

#[cfg(all(feature = "addon", target_os = "linux"))]
pub mod addon;

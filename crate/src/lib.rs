//! The native engine of `route-liveness`: liveness sessions over UDP, in the manner of BFD (RFC 5880), and the kernel
//! routes that follow them.
//!
//! ```text
//!             datagrams, arrival stamps                     deadlines
//!   socket ──────────────┐                          ┌────── timerfd
//!      ▲                 ▼                          ▼
//!      │ batches   ┌───────────────────────────────────┐   changes    ┌─────────┐  requests
//!      └───────────│  driver: one thread, one turn     │─────────────▶│ route   │──────────▶ kernel's
//!                  │  engine: sessions, queue, no I/O  │              │ worker  │◀────────── routes
//!                  └───────────────────────────────────┘              └─────────┘  answers
//!                        ▲ commands            │ records, at most one     │ outcomes, at most one
//!                        │                     ▼ per session              ▼ per route
//!                  command queue            mailbox ─── doorbell ──▶ JavaScript drains
//! ```
//!
//! The folders, from the bottom up; `tests/layers.rs` holds their order:
//!
//! | folder | what it has | it may import |
//! |---|---|---|
//! | `protocol` | what a protocol is, packets, state table, session, rules. Pure | nothing |
//! | `engine` | sessions by key, deadlines, counters: `handle_*` in, `poll_*` out. Pure | `protocol` |
//! | `system` | clocks, locks, scheduling, netlink messages | `protocol` |
//! | `net` | sockets, interfaces, arrival times, what waits to be sent | `engine`, `system` |
//! | `routes` | what the kernel is to hold (pure), and rtnetlink | `engine`, `system` |
//! | `driver` | the engine's thread | `net`, `routes` |
//! | `sim` | a simulated world for all of it | `net`, `routes` |
//! | `addon` | N-API: conversion only | `driver`, `sim` |
//!
//! Public are the modules that the addon, the examples, the tests, the benches and the fuzz targets use, and no others. All of
//! it is internal to the npm package.
//!
//! Pure means no I/O, no clock, no thread and no Linux: a test passes three hours by adding a number. `protocol`, `engine`,
//! `net::arrival`, and of `routes` `kernel_route`, `outcome`, `tables`, `armed`, `planner` and `stats` are pure.
//!
//! The kernel is called in `net` (sockets, interfaces), in `routes::socket` and `routes::monitor` (rtnetlink), in
//! `driver::waiter` and `driver::command_queue` (epoll, timerfd, eventfd), and in `system` (clocks, scheduling).
//!
//! These threads run: the engine's (`driver`, "liveness"), the route worker's (`routes::worker`, "liveness-routes"), the route
//! monitor's (`routes::monitor`, "liveness-watch"), and that of a socket without an engine (`net::listener`,
//! "liveness-udp"). Threads meet in `driver::command_queue`, `driver::mailbox`, `routes::worker`, `routes::held` and
//! `net::listener`, nowhere else.

#[cfg(target_os = "linux")]
pub mod driver;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod net;
pub mod protocol;
pub mod routes;
#[cfg(target_os = "linux")]
pub mod sim;
#[cfg(target_os = "linux")]
pub mod system;

#[cfg(all(feature = "addon", target_os = "linux"))]
pub mod addon;

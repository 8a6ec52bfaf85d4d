//! Routes in the kernel's tables. `kernel_route`, `tables`, `armed`, `planner` and `stats` are pure and decide; `socket`,
//! `worker`, `monitor` and `held` talk to the kernel over rtnetlink.

pub mod armed;
pub mod held;
pub mod kernel_route;
pub mod monitor;
pub mod planner;
pub mod socket;
pub mod stats;
pub mod tables;
pub mod worker;

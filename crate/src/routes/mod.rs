//! Routes in the kernel's tables. `kernel_route`, `stored_route`, `tables`, `armed`, `entry`, `affected`, `legs`,
//! `contention`, `next_hop`, `parts`, `left_objects`, `object_request`, `object_sweep`, `route_table`, `maintenance`, `planner`, `put_off`,
//! `survey` and `stats` are pure and decide; `shared_planner` is the planner behind a lock; `socket`, `object_socket`, `worker`, `monitor`,
//! `planner_monitor` and `held` talk to the kernel over rtnetlink.

pub mod affected;
#[cfg(target_os = "linux")]
pub mod answers;
pub mod armed;
pub(crate) mod contention;
pub mod damping;
pub(crate) mod entry;
#[cfg(target_os = "linux")]
pub mod held;
pub mod kernel_route;
pub(crate) mod left_objects;
pub mod legs;
#[cfg(target_os = "linux")]
pub mod listing;
pub mod maintenance;
pub mod mass_down;
#[cfg(target_os = "linux")]
pub mod monitor;
pub mod next_hop;
#[cfg(target_os = "linux")]
pub mod next_hop_request;
pub mod object_request;
#[cfg(target_os = "linux")]
mod object_socket;
pub mod object_sweep;
pub mod outcome;
pub mod parts;
pub mod planner;
#[cfg(target_os = "linux")]
mod planner_monitor;
pub(crate) mod put_off;
#[cfg(target_os = "linux")]
mod request;
pub(crate) mod route_table;
#[cfg(target_os = "linux")]
pub(crate) mod shared_planner;
#[cfg(target_os = "linux")]
pub mod socket;
pub mod stats;
pub(crate) mod stored_route;
pub(crate) mod survey;
pub mod tables;
#[cfg(target_os = "linux")]
pub(crate) mod worker;

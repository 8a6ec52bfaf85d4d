pub mod arrival;
pub mod engine;
pub mod jitter;
pub mod packet;
pub mod queue;
pub mod rules;
pub mod session;
pub mod snapshot;
pub mod stalls;
pub mod stats;
pub mod time;

#[cfg(target_os = "linux")]
pub mod arming;
#[cfg(target_os = "linux")]
pub mod clock;
#[cfg(target_os = "linux")]
pub mod driver;
#[cfg(target_os = "linux")]
pub mod inbox;
#[cfg(target_os = "linux")]
pub mod links;
#[cfg(target_os = "linux")]
pub mod mailbox;
#[cfg(target_os = "linux")]
pub mod realtime;
#[cfg(target_os = "linux")]
pub mod routes;
#[cfg(target_os = "linux")]
pub mod socket;

#[cfg(all(feature = "addon", target_os = "linux"))]
pub mod addon;

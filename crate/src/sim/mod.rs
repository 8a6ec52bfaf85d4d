//! A simulated world: hosts with clocks of their own, a network that loses, delays and damages packets, and kernels that
//! fail and hang. The seed determines a run, so that a run can be repeated.
//!
//! Engine and route planner are the ones that ship. Network, sockets, clocks, kernel and turns are simulated.

mod clock;
mod explanations;
mod fault;
mod faulty_tables;
mod host;
mod host_spec;
mod invariant_checker;
mod kernel;
mod links;
mod network;
mod notice;
mod random;
mod recovery_checks;
mod repeat_filter;
mod rival;
mod route_counts;
mod scenario;
mod scene;
mod simulated_protocol;
mod state_file;
mod tables;
mod violation;
mod wire;
mod world;

pub use fault::{Fault, Timed};
pub use faulty_tables::KernelFaults;
pub use host::Host;
pub use host_spec::{BackupKind, HostSpec, RouteKind};
pub use invariant_checker::InvariantChecker;
pub use kernel::Kernel;
pub use network::{HostId, Network, Quality};
pub use notice::Notice;
pub use random::Random;
pub use rival::{ObjectAct, RivalAct, rival_hop};
pub use route_counts::RouteCounts;
pub use scenario::{PairSpec, RunError, Scenario, ScenarioError, Totals};
pub use scene::{Pair, PairId, Scene};
pub use simulated_protocol::SimulatedProtocol;
pub use tables::SimTables;
pub use violation::Violation;
pub use wire::path_of;
pub use world::World;

//! A simulated world: engines on clocks of their own, joined by a network that loses, delays and damages, with routes in
//! a kernel that fails and hangs. Everything follows from a seed, so that a run can be repeated.
//!
//! The engines, and the orders for routes, are the ones that ship. What is simulated is what lies around them: the
//! network, the sockets, the clocks, the kernel and the thread's turns.

mod clock;
mod explanations;
mod host;
mod host_spec;
mod invariant_checker;
mod kernel;
mod network;
mod random;
mod recovery_checks;
mod scenario;
mod scene;
mod tables;
mod violation;
mod wire;
mod world;

pub use host::Host;
pub use host_spec::{HostSpec, RouteKind};
pub use invariant_checker::InvariantChecker;
pub use kernel::{Kernel, KernelFaults, Notice, RIVAL_HOP, RivalAct};
pub use network::{HostId, Network, Quality};
pub use random::Random;
pub use scenario::{Fault, PairSpec, RunError, Scenario, ScenarioError, Timed, Totals};
pub use scene::{Pair, PairId, Scene};
pub use tables::SimTables;
pub use violation::Violation;
pub use wire::path_of;
pub use world::World;

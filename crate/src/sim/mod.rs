//! A simulated world: engines on clocks of their own, joined by a network that loses, delays and damages, with routes in
//! a kernel that fails and hangs. Everything that happens follows from a seed, so that a run can be had again.
//!
//! The engines, and the orders for routes, are the ones that ship. What is simulated is what lies around them: the
//! network, the sockets, the clocks, the kernel and the thread's turns.

mod clock;
mod explanations;
mod host;
mod invariant_checker;
mod kernel;
mod network;
mod random;
mod recovery_checks;
mod scenario;
mod tables;
mod world;

use std::fmt;

use crate::protocol::time::Time;

pub use host::{Host, HostSpec, RouteKind, path_of};
pub use invariant_checker::InvariantChecker;
pub use kernel::{Kernel, KernelFaults, Notice, RIVAL_HOP, RivalAct};
pub use network::{HostId, Network, Quality};
pub use random::Random;
pub use scenario::{Fault, PairSpec, RunError, Scenario, ScenarioError, Timed, Totals};
pub use tables::SimTables;
pub use world::{Pair, PairId, World};

/// Something that must never happen did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Time,
    pub text: String,
}

impl Violation {
    pub fn new(at: Time, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} us: {}", self.at.micros(), self.text)
    }
}

impl std::error::Error for Violation {}

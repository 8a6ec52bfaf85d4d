//! What became of an operation on an armed route.

use crate::protocol::time::Time;
use crate::routes::kernel_route::RouteError;
use crate::routes::legs::Leg;

/// Names an armed route. The caller picks the number and uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// The kernel's newest answer for one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOutcome {
    /// The route.
    pub id: RouteId,
    /// The generation of the command that it answers.
    pub generation: u32,
    /// What was asked of the kernel.
    pub op: RouteOp,
    /// The kernel's answer.
    pub result: Result<(), RouteError>,
    /// When the answer came.
    pub at: Time,
    /// From when the operation was desired to the kernel's answer.
    pub duration_us: u64,
    /// The route is no longer armed.
    pub gone: bool,
    /// Whether the kernel holds the route, as far as is known.
    pub installed: bool,
    /// Until when a route that others take away again and again is not put back.
    pub restore_at: Option<Time>,
    /// Until when a route is not installed although its session is Up, since the session flaps.
    pub suppressed_until: Option<Time>,
    /// What it runs on, or is to run on.
    pub leg: Leg,
}

impl RouteOutcome {
    /// This outcome in place of an earlier one that nobody has read. Where it changed nothing itself, the change before it is
    /// still to be told.
    #[must_use]
    pub fn after(self, earlier: &Self) -> Self {
        let changed_nothing = self.op == RouteOp::None && self.result.is_ok();
        if !changed_nothing || earlier.result.is_err() {
            return self;
        }
        Self { op: earlier.op, at: earlier.at, duration_us: earlier.duration_us, ..self }
    }
}

/// What is asked of the kernel for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOp {
    /// Install it.
    Add,
    /// Withdraw it.
    Delete,
    /// Nothing had to be sent.
    None,
}

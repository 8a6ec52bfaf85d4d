//! Counters of armed routes, per (interface, local IP).

use rustc_hash::FxHashMap;

use crate::engine::histogram::{CONVERGENCE_BOUNDS_NS, Histogram};
use crate::engine::stats::LocalEndpoint;
use crate::protocol::time::Time;
use crate::routes::outcome::RouteOp;

/// What is counted for the routes of one local endpoint.
#[derive(Clone, Debug)]
pub struct RouteCounters {
    /// Routes that are armed and that the kernel holds, now.
    pub installed: u64,
    /// Routes that were added.
    pub adds: u64,
    /// Additions that failed.
    pub add_failures: u64,
    /// Routes that were deleted.
    pub deletes: u64,
    /// Deletions that failed.
    pub delete_failures: u64,
    /// Routes that another process deleted although they were desired: they are restored.
    pub restored: u64,
    /// Those of them that are restored after a delay, since they were deleted again and again.
    pub restores_delayed: u64,
    /// From the first valid packet while Down to the kernel's answer that the route is there.
    pub convergence_to_up: Histogram,
    /// From the first packet that was missing, or said Down, to the kernel's answer that the route is gone.
    pub convergence_to_down: Histogram,
}

impl Default for RouteCounters {
    fn default() -> Self {
        Self {
            installed: 0,
            adds: 0,
            add_failures: 0,
            deletes: 0,
            delete_failures: 0,
            restored: 0,
            restores_delayed: 0,
            convergence_to_up: Histogram::new(CONVERGENCE_BOUNDS_NS),
            convergence_to_down: Histogram::new(CONVERGENCE_BOUNDS_NS),
        }
    }
}

/// The number of a local endpoint in `RouteStats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndpointNumber(u32);

/// All counters. An endpoint, once seen, stays: counters never fall.
#[derive(Clone, Debug, Default)]
pub struct RouteStats {
    numbers: FxHashMap<LocalEndpoint, u32>,
    counters: Vec<(LocalEndpoint, RouteCounters)>,
}

impl RouteStats {
    /// The number of an endpoint, which may be new.
    pub(crate) fn number(&mut self, endpoint: LocalEndpoint) -> EndpointNumber {
        let next = u32::try_from(self.counters.len()).expect("fewer endpoints than routes");
        let number = *self.numbers.entry(endpoint).or_insert(next);
        if number == next {
            self.counters.push((endpoint, RouteCounters::default()));
        }
        EndpointNumber(number)
    }

    /// The endpoint of a number.
    pub(crate) fn endpoint(&self, number: EndpointNumber) -> LocalEndpoint {
        self.counters[number.0 as usize].0
    }

    fn at(&mut self, number: EndpointNumber) -> &mut RouteCounters {
        &mut self.counters[number.0 as usize].1
    }

    /// Counts an answer at `at`; `conv_start` is given where a session's change led to the operation.
    pub(crate) fn answered(
        &mut self,
        endpoint: EndpointNumber,
        op: RouteOp,
        ok: bool,
        at: Time,
        conv_start: Option<Time>,
    ) {
        let counters = self.at(endpoint);
        let (counter, convergence) = match (op, ok) {
            (RouteOp::Add, true) => (&mut counters.adds, Some(&mut counters.convergence_to_up)),
            (RouteOp::Add, false) => (&mut counters.add_failures, None),
            (RouteOp::Delete, true) => (&mut counters.deletes, Some(&mut counters.convergence_to_down)),
            (RouteOp::Delete, false) => (&mut counters.delete_failures, None),
            (RouteOp::None, _) => return,
        };
        *counter += 1;
        if let (Some(convergence), Some(start)) = (convergence, conv_start) {
            convergence.observe(at.since(start).saturating_mul(1_000));
        }
    }

    /// Notes whether a managed route was in the kernel before, and whether it is now.
    pub(crate) fn installed(&mut self, endpoint: EndpointNumber, before: bool, after: bool) {
        let counters = self.at(endpoint);
        counters.installed = counters.installed + u64::from(after) - u64::from(before);
    }

    /// Counts a route that another process deleted, if it has to be restored, and whether after a delay.
    pub(crate) fn lost(&mut self, endpoint: EndpointNumber, restores: bool, delayed: bool) {
        let counters = self.at(endpoint);
        counters.restored += u64::from(restores);
        counters.restores_delayed += u64::from(delayed);
    }

    /// All endpoints with their counters.
    pub fn iter(&self) -> impl Iterator<Item = (&LocalEndpoint, &RouteCounters)> {
        self.counters.iter().map(|(endpoint, counters)| (endpoint, counters))
    }
}

//! Hands records over to JavaScript in portions, so that ten thousand sessions that start together do not become ten thousand
//! objects of fifteen fields at once.

use std::vec::IntoIter;

use crate::addon::objects::NativeDelivery;
use crate::driver::mailbox::{Delivery, SessionRecord};
use crate::routes::outcome::RouteOutcome;
use crate::system::problem::Problem;

/// Records in a portion.
const PORTION: usize = 512;

/// The records that were taken out of the mailbox and not yet handed over.
#[derive(Default)]
pub(super) struct DeliveryBatch {
    sessions: IntoIter<SessionRecord>,
    routes: IntoIter<RouteOutcome>,
    warnings: Vec<Problem>,
    fatal: Option<Problem>,
}

impl DeliveryBatch {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.len() == 0 && self.routes.len() == 0 && self.warnings.is_empty() && self.fatal.is_none()
    }

    /// The next portion. Sessions come before routes, so that a route's record follows the record of its session.
    pub(super) fn next(&mut self) -> NativeDelivery {
        let sessions: Vec<SessionRecord> = self.sessions.by_ref().take(PORTION).collect();
        let routes: Vec<RouteOutcome> = self.routes.by_ref().take(PORTION - sessions.len()).collect();
        let is_last = self.sessions.len() == 0 && self.routes.len() == 0;
        let warnings = if is_last { std::mem::take(&mut self.warnings) } else { Vec::new() };
        let fatal = if is_last { self.fatal.take() } else { None };
        NativeDelivery::new(Delivery { sessions, routes, warnings, fatal }, !is_last)
    }
}

impl From<Delivery> for DeliveryBatch {
    fn from(delivery: Delivery) -> Self {
        Self {
            sessions: delivery.sessions.into_iter(),
            routes: delivery.routes.into_iter(),
            warnings: delivery.warnings,
            fatal: delivery.fatal,
        }
    }
}

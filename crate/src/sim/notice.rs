//! What the kernel tells of changes that others made.

use crate::routes::affected::AffectedRoutes;
use crate::routes::kernel_route::{KernelRoute, Slot};

/// A notification of the kernel.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A route was deleted.
    Gone(KernelRoute),
    /// A route was added to an empty slot, or replaced another.
    Taken(Slot),
    /// Links or addresses changed.
    AffectedRoutes(AffectedRoutes),
    /// A next-hop object was deleted or changed, by another process where it says so.
    ObjectGone(u32, bool),
}

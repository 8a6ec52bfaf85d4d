//! What is asked of the kernel about next-hop objects, and what it answers. Pure.

use std::net::IpAddr;

use crate::routes::kernel_route::RouteError;
use crate::routes::outcome::RouteId;

/// What an object leads over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The gateway.
    pub address: IpAddr,
    /// The index of the output interface.
    pub interface: u32,
    /// The number that says who has made the object.
    pub protocol: u8,
}

/// What is asked of the kernel for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectOp {
    /// Make it, under a number that nobody has.
    Add,
    /// Have it lead over another next hop, with all routes on it.
    Move,
    /// Delete it, with all routes on it.
    Delete,
}

/// One request to the kernel about an object.
#[derive(Clone, Debug)]
pub struct ObjectRequest {
    /// What is asked.
    pub op: ObjectOp,
    /// The number of the object.
    pub id: u32,
    /// What it is to lead over.
    pub hop: NextHop,
    /// The routes that go or move with it.
    pub routes: Vec<RouteId>,
}

/// The kernel's answer to a request about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectAnswer {
    /// It was done. What was to be deleted may have been gone.
    Done,
    /// Of an addition: exactly this object was there.
    WasThere,
    /// Of an addition: the number is that of another object.
    Taken,
    /// It was refused, or the answer was lost.
    Failed(RouteError),
}

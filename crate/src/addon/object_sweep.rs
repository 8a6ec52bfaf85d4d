//! The sweep of next-hop objects, on a thread of libuv's pool.

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::addon::errors::rejection;
use crate::driver::command_queue::Command;
use crate::driver::handle::Questioner;
use crate::routes::kernel_route::RouteError;
use crate::routes::next_hop::ObjectRange;
use crate::routes::object_sweep::{ObjectFilter, sweep};
use crate::routes::socket::RouteSocket;

/// What a manager sweeps.
#[napi(object, object_to_js = false)]
pub struct NativeObjectFilter {
    pub protocol: u8,
    pub ipv4: bool,
    pub ipv6: bool,
}

pub struct SweepObjects {
    filter: ObjectFilter,
    /// The driver whose routes may need objects.
    driver: Option<Questioner>,
}

impl SweepObjects {
    pub fn new(range: ObjectRange, filter: &NativeObjectFilter, driver: Option<Questioner>) -> Self {
        let NativeObjectFilter { protocol, ipv4, ipv6 } = *filter;
        Self { filter: ObjectFilter { range, protocol, ipv4, ipv6 }, driver }
    }

    fn run(&self) -> std::result::Result<u32, RouteError> {
        // A socket of its own: routes are changed meanwhile.
        let mut socket = RouteSocket::new()?.with_objects(self.filter.range);
        let Some(driver) = &self.driver else { return sweep(&mut socket, &self.filter, <[u32]>::to_vec) };
        let mut reserved = Vec::new();
        let swept = sweep(&mut socket, &self.filter, |ids| {
            // A driver that does not answer may need them all.
            reserved = driver.ask(|answer| Command::ReserveObjects(ids.to_vec(), answer)).unwrap_or_default();
            reserved.clone()
        });
        driver.send(Command::UnreserveObjects(reserved));
        swept
    }
}

impl Task for SweepObjects {
    type Output = std::result::Result<u32, RouteError>;
    type JsValue = u32;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.run())
    }

    fn resolve(&mut self, env: Env, answer: Self::Output) -> Result<u32> {
        answer.map_err(|error| rejection(env, &error))
    }
}

//! The counters of everything that the thread has.

use crate::driver::Driver;
use crate::driver::driven::Driven;
use crate::driver::snapshot::{EndpointReport, RouteEndpointReport, StatsReport};
use crate::engine::stats::{EndpointCounters, LocalEndpoint};
use crate::net::tx_socket::Wire;
use crate::routes::stats::RouteCounters;
use crate::routes::worker::RouteWorker;

impl<P: Driven> Driver<P> {
    /// Copies all counters.
    pub(super) fn stats(&mut self) -> StatsReport {
        // Now, not when it was looked at last.
        let socket_drops = self.drops();
        let endpoint = |(endpoint, counters): &(LocalEndpoint, EndpointCounters)| EndpointReport {
            interface: self.links.name(endpoint.link).to_owned(),
            local: endpoint.local,
            counters: counters.clone(),
        };
        let routes = self.route_worker.as_ref().map(RouteWorker::stats).unwrap_or_default();
        let route_endpoint = |(endpoint, counters): (&LocalEndpoint, &RouteCounters)| RouteEndpointReport {
            interface: self.links.name(endpoint.link).to_owned(),
            local: endpoint.local,
            counters: counters.clone(),
        };
        StatsReport {
            endpoints: self.engine.stats().iter().map(endpoint).collect(),
            routes: routes.iter().map(route_endpoint).collect(),
            queue_len: self.engine.queue_len(),
            read_errors: self.read_errors,
            socket_drops,
            repeats: self.repeats(),
            send_buffer_bytes: self.senders.iter().map(|sender| sender.outlet.send_buffer().size).min().unwrap_or(0),
            send_buffer_full: self.senders.iter().map(|sender| sender.queue.times_full()).sum(),
            turns: self.turns,
            worst_delay_us: self.engine.worst_delay_us(),
            turn_delays: self.engine.turn_delays().clone(),
            transmit_delays: self.engine.transmit_delays().clone(),
        }
    }
}

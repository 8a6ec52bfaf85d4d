//! The counters for JavaScript, as numbers one after another: objects would cost five times as much. `ts/engine/native/statistics.ts`
//! reads the numbers; both files change together.

use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;

use crate::addon::objects::number;
use crate::driver::snapshot::{EndpointReport, RouteEndpointReport, StatsReport};
use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::histogram::Histogram;

#[napi(object, object_from_js = false)]
pub struct NativeStats {
    /// The interface and the address of each local endpoint.
    pub endpoints: Vec<String>,
    /// As `endpoints`, of those that have armed routes.
    pub route_endpoints: Vec<String>,
    /// What belongs to no endpoint, then the endpoints, then those of routes.
    pub numbers: Float64Array,
}

impl From<StatsReport> for NativeStats {
    fn from(report: StatsReport) -> Self {
        let mut numbers = Numbers::default();
        numbers.put_engine(&report);
        report.endpoints.iter().for_each(|endpoint| numbers.put_endpoint(endpoint));
        report.routes.iter().for_each(|endpoint| numbers.put_route_endpoint(endpoint));
        Self {
            endpoints: report.endpoints.into_iter().flat_map(|it| [it.interface, it.local.to_string()]).collect(),
            route_endpoints: report.routes.into_iter().flat_map(|it| [it.interface, it.local.to_string()]).collect(),
            numbers: numbers.0.into(),
        }
    }
}

#[derive(Default)]
struct Numbers(Vec<f64>);

impl Numbers {
    fn put_engine(&mut self, report: &StatsReport) {
        self.put_all(&[
            report.queue_len as u64,
            report.read_errors,
            report.socket_drops.into(),
            report.repeats,
            report.send_buffer_bytes as u64,
            report.send_buffer_full,
            report.turns,
            report.worst_delay_us,
        ]);
        self.put_delays(&report.turn_delays);
        self.put_delays(&report.transmit_delays);
    }

    fn put_endpoint(&mut self, EndpointReport { counters, .. }: &EndpointReport) {
        self.put_all(&counters.sessions);
        self.put_all(&[counters.never_up, counters.tx, counters.rx]);
        self.put_all(&counters.rx_invalid);
        self.put_all(&[
            counters.unknown_peer,
            counters.write_errors,
            counters.dropped,
            counters.timeouts,
            counters.local_timeouts,
            counters.remote_downs,
            counters.local_remote_downs,
            counters.extensions,
            counters.queued,
            counters.registered,
        ]);
        self.put_all(counters.transitions.as_flattened().as_flattened());
        self.put_all(&counters.local_diagnostics);
        self.put_all(&counters.remote_diagnostics);
        self.put_histogram(&counters.handle_rx);
    }

    fn put_route_endpoint(&mut self, RouteEndpointReport { counters, .. }: &RouteEndpointReport) {
        self.put_all(&[
            counters.installed,
            counters.adds,
            counters.add_failures,
            counters.deletes,
            counters.delete_failures,
            counters.restored,
            counters.restores_delayed,
        ]);
        self.put_histogram(&counters.convergence_to_up);
        self.put_histogram(&counters.convergence_to_down);
    }

    /// The counts, then the sum in seconds, the unit of Prometheus. Both sides know the bounds.
    fn put_histogram(&mut self, histogram: &Histogram) {
        self.put_all(histogram.counts());
        self.0.push(number(histogram.sum_ns()) / 1e9);
    }

    /// How many buckets there are, then each with its upper bound and its count.
    fn put_delays(&mut self, delays: &DelayHistogram) {
        let buckets: Vec<(u64, u64)> = delays.buckets().collect();
        self.0.push(buckets.len() as f64);
        buckets.iter().for_each(|(below_us, count)| self.put_all(&[*below_us, *count]));
    }

    fn put_all(&mut self, numbers: &[u64]) {
        self.0.extend(numbers.iter().map(|it| number(*it)));
    }
}

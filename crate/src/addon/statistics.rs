//! The counters for JavaScript.

use napi_derive::napi;

use crate::addon::objects::number;
use crate::driver::snapshot::{EndpointReport, RouteEndpointReport, StatsReport};
use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::histogram::Histogram;
use crate::engine::stats::{EndpointCounters, TransitionCause};
use crate::protocol::drop_reason::DropReason;
use crate::protocol::state::State;
use crate::routes::stats::RouteCounters;

/// Converts microseconds to seconds, the unit of Prometheus.
#[napi(object, object_from_js = false)]
pub struct NativeHistogram {
    pub bounds: Vec<f64>,
    /// One count for each bucket, not cumulative; the last counts the values beyond all bounds.
    pub counts: Vec<f64>,
    pub sum: f64,
}

impl From<Histogram> for NativeHistogram {
    fn from(histogram: Histogram) -> Self {
        Self {
            bounds: histogram.bounds_ns().iter().map(|ns| seconds(*ns)).collect(),
            counts: histogram.counts().iter().map(|count| number(*count)).collect(),
            sum: seconds(histogram.sum_ns()),
        }
    }
}

fn seconds(ns: u64) -> f64 {
    number(ns) / 1e9
}

#[napi(object, object_from_js = false)]
pub struct NativeTransitionCount {
    pub from: &'static str,
    pub to: &'static str,
    pub cause: &'static str,
    pub count: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeStates {
    #[napi(js_name = "admin_down")]
    pub admin_down: f64,
    pub down: f64,
    pub init: f64,
    pub up: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeInvalid {
    pub short: f64,
    #[napi(js_name = "bad_version")]
    pub bad_version: f64,
    #[napi(js_name = "bad_len")]
    pub bad_len: f64,
    #[napi(js_name = "bad_detect_mult")]
    pub bad_detect_mult: f64,
    #[napi(js_name = "bad_discr")]
    pub bad_discr: f64,
    #[napi(js_name = "bad_interval")]
    pub bad_interval: f64,
    #[napi(js_name = "foreign_discr")]
    pub foreign_discr: f64,
    #[napi(js_name = "bad_ttl")]
    pub bad_ttl: f64,
    pub truncated: f64,
    pub multipoint: f64,
    #[napi(js_name = "poll_and_final")]
    pub poll_and_final: f64,
    #[napi(js_name = "zero_peer_discr")]
    pub zero_peer_discr: f64,
    #[napi(js_name = "unexpected_auth")]
    pub unexpected_auth: f64,
    #[napi(js_name = "missing_auth")]
    pub missing_auth: f64,
    #[napi(js_name = "bad_auth")]
    pub bad_auth: f64,
}

impl From<&[u64; DropReason::COUNT]> for NativeInvalid {
    fn from(counts: &[u64; DropReason::COUNT]) -> Self {
        let of = |why: DropReason| number(counts[why as usize]);
        Self {
            short: of(DropReason::Short),
            bad_version: of(DropReason::Version),
            bad_len: of(DropReason::Length),
            bad_detect_mult: of(DropReason::DetectMult),
            bad_discr: of(DropReason::Discriminator),
            bad_interval: of(DropReason::Interval),
            foreign_discr: of(DropReason::ForeignDiscriminator),
            bad_ttl: of(DropReason::Ttl),
            truncated: of(DropReason::Truncated),
            multipoint: of(DropReason::Multipoint),
            poll_and_final: of(DropReason::PollAndFinal),
            zero_peer_discr: of(DropReason::ZeroPeerDiscriminator),
            unexpected_auth: of(DropReason::UnexpectedAuthentication),
            missing_auth: of(DropReason::MissingAuthentication),
            bad_auth: of(DropReason::Authentication),
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeEndpointStats {
    pub iface: String,
    #[napi(js_name = "localIP")]
    pub local_ip: String,
    pub sessions: NativeStates,
    pub never_up: f64,
    pub tx: f64,
    pub rx: f64,
    pub rx_invalid: NativeInvalid,
    pub unknown_peer: f64,
    pub write_errors: f64,
    pub dropped: f64,
    pub timeouts: f64,
    pub local_timeouts: f64,
    pub remote_downs: f64,
    pub local_remote_downs: f64,
    pub extensions: f64,
    pub queued: f64,
    pub transitions: Vec<NativeTransitionCount>,
    pub local_diagnostics: Vec<f64>,
    pub remote_diagnostics: Vec<f64>,
    pub handle_rx: NativeHistogram,
}

impl From<EndpointReport> for NativeEndpointStats {
    fn from(endpoint: EndpointReport) -> Self {
        let counters = endpoint.counters;
        let [admin_down, down, init, up] = counters.sessions.map(number);
        Self {
            iface: endpoint.interface,
            local_ip: endpoint.local.to_string(),
            sessions: NativeStates { admin_down, down, init, up },
            never_up: number(counters.never_up),
            tx: number(counters.tx),
            rx: number(counters.rx),
            rx_invalid: (&counters.rx_invalid).into(),
            unknown_peer: number(counters.unknown_peer),
            write_errors: number(counters.write_errors),
            dropped: number(counters.dropped),
            timeouts: number(counters.timeouts),
            local_timeouts: number(counters.local_timeouts),
            remote_downs: number(counters.remote_downs),
            local_remote_downs: number(counters.local_remote_downs),
            extensions: number(counters.extensions),
            queued: number(counters.queued),
            transitions: transition_counts(&counters),
            local_diagnostics: counters.local_diagnostics.map(number).into(),
            remote_diagnostics: counters.remote_diagnostics.map(number).into(),
            handle_rx: counters.handle_rx.into(),
        }
    }
}

fn transition_counts(counters: &EndpointCounters) -> Vec<NativeTransitionCount> {
    let mut counted = Vec::new();
    if counters.registered > 0 {
        let (to, cause) = (State::Down.name(), TransitionCause::RegisterRoute.name());
        counted.push(NativeTransitionCount { from: "new", to, cause, count: number(counters.registered) });
    }
    for from in State::ALL {
        for to in State::ALL {
            for cause in TransitionCause::ALL {
                let count = counters.transitions[from as usize][to as usize][cause as usize];
                if count > 0 {
                    let (from, to, cause) = (from.name(), to.name(), cause.name());
                    counted.push(NativeTransitionCount { from, to, cause, count: number(count) });
                }
            }
        }
    }
    counted
}

#[napi(object, object_from_js = false)]
pub struct NativeEndpointRouteStats {
    pub iface: String,
    #[napi(js_name = "localIP")]
    pub local_ip: String,
    pub installed: f64,
    pub adds: f64,
    pub add_failures: f64,
    pub deletes: f64,
    pub delete_failures: f64,
    pub restored: f64,
    pub restores_delayed: f64,
    pub convergence_to_up: NativeHistogram,
    pub convergence_to_down: NativeHistogram,
}

impl From<RouteEndpointReport> for NativeEndpointRouteStats {
    fn from(endpoint: RouteEndpointReport) -> Self {
        let counters: RouteCounters = endpoint.counters;
        Self {
            iface: endpoint.interface,
            local_ip: endpoint.local.to_string(),
            installed: number(counters.installed),
            adds: number(counters.adds),
            add_failures: number(counters.add_failures),
            deletes: number(counters.deletes),
            delete_failures: number(counters.delete_failures),
            restored: number(counters.restored),
            restores_delayed: number(counters.restores_delayed),
            convergence_to_up: counters.convergence_to_up.into(),
            convergence_to_down: counters.convergence_to_down.into(),
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeStats {
    pub endpoints: Vec<NativeEndpointStats>,
    pub routes: Vec<NativeEndpointRouteStats>,
    pub queue_length: f64,
    pub read_errors: f64,
    pub socket_drops: f64,
    pub send_buffer_bytes: f64,
    pub send_buffer_full: f64,
    pub turns: f64,
    pub worst_turn_delay_us: f64,
    pub turn_delays: Vec<NativeDelayBucket>,
    pub transmit_delays: Vec<NativeDelayBucket>,
}

#[napi(object, object_from_js = false)]
pub struct NativeDelayBucket {
    pub below_us: f64,
    pub count: f64,
}

fn buckets(delays: &DelayHistogram) -> Vec<NativeDelayBucket> {
    let bucket = |(end, count)| NativeDelayBucket { below_us: number(end), count: number(count) };
    delays.buckets().map(bucket).collect()
}

impl From<StatsReport> for NativeStats {
    fn from(report: StatsReport) -> Self {
        Self {
            endpoints: report.endpoints.into_iter().map(Into::into).collect(),
            routes: report.routes.into_iter().map(Into::into).collect(),
            queue_length: number(report.queue_len as u64),
            read_errors: number(report.read_errors),
            socket_drops: f64::from(report.socket_drops),
            send_buffer_bytes: number(report.send_buffer_bytes as u64),
            send_buffer_full: number(report.send_buffer_full),
            turns: number(report.turns),
            worst_turn_delay_us: number(report.worst_delay_us),
            turn_delays: buckets(&report.turn_delays),
            transmit_delays: buckets(&report.transmit_delays),
        }
    }
}

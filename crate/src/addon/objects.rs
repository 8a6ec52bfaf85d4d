//! The objects that are passed between Rust and JavaScript, each with its conversion.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::addon::errors::{Coded, code_of, coded};
use crate::driver::command_queue::Disarm;
use crate::driver::mailbox::{Delivery, SessionRecord};
use crate::net::interface_names::name_of;
use crate::protocol::time::Time;
use crate::routes::armed::ObjectPolicy;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::legs::Leg;
use crate::routes::mass_down::MassDown;
use crate::routes::next_hop::ObjectRange;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::system::problem::Problem;
use crate::system::realtime::Realtime;

/// Microseconds as a number of JavaScript: integers, exact for two hundred years.
#[allow(clippy::cast_precision_loss)]
pub(super) fn number(micros: u64) -> f64 {
    micros as f64
}

pub(super) fn time(at: Time) -> f64 {
    number(at.micros())
}

pub(super) fn address(text: &str) -> std::result::Result<IpAddr, Coded> {
    text.parse().map_err(|_| coded("ERR_INVALID_ADDRESS", format!("Expected an IP address, got `{text}`")))
}

#[napi(object, object_from_js = false)]
pub struct LocalAddr {
    pub address: String,
    pub port: u16,
}

impl From<SocketAddr> for LocalAddr {
    fn from(bound: SocketAddr) -> Self {
        Self { address: bound.ip().to_string(), port: bound.port() }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeRealtime {
    pub priority: Option<u8>,
    pub cpu: Option<u32>,
}

impl From<NativeRealtime> for Realtime {
    fn from(options: NativeRealtime) -> Self {
        Self { priority: options.priority, cpu: options.cpu }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeEngineOptions {
    pub protocol: String,
    #[napi(js_name = "bindIPs")]
    pub bind_ips: Vec<String>,
    pub port: u16,
    pub multihop_port: u16,
    pub min_tx_floor_us: u32,
    pub max_tx_ceil_us: u32,
    pub backoff_max_us: u32,
    pub max_sessions: u32,
    pub passive: bool,
    pub client_version: Option<Vec<u8>>,
    pub honor_peer_advertised_passive: bool,
    pub require_discriminator: bool,
    pub min_ttl: Option<u8>,
    pub take_over: bool,
    pub realtime: Option<NativeRealtime>,
    pub withdraw_on_fatal: bool,
    pub filter_repeats: bool,
    pub resume: Option<String>,
    pub mass_down: Option<NativeMassDown>,
    pub next_hop_objects: Option<NativeObjectRange>,
}

#[napi(object, object_to_js = false)]
pub struct NativeObjectRange {
    pub first_id: u32,
    pub last_id: u32,
}

impl From<&NativeObjectRange> for ObjectRange {
    fn from(range: &NativeObjectRange) -> Self {
        Self { first: range.first_id, last: range.last_id }
    }
}

impl From<&NativeObjectRange> for ObjectPolicy {
    fn from(range: &NativeObjectRange) -> Self {
        ObjectRange::from(range).into()
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeMassDown {
    pub share: f64,
    pub within_us: f64,
    pub hold_us: f64,
}

impl From<NativeMassDown> for MassDown {
    fn from(limit: NativeMassDown) -> Self {
        Self { share: limit.share, within_us: limit.within_us as u64, hold_us: limit.hold_us as u64 }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeSessionPath {
    pub iface: String,
    #[napi(js_name = "localIP")]
    pub local_ip: String,
}

#[napi(object, object_from_js = false)]
pub struct NativePathFault {
    pub index: u32,
    pub code: String,
    pub real_name: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct NativeLastDown {
    pub at_us: f64,
    pub reason: &'static str,
    pub local_stall_us: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeSessionRecord {
    pub id: u32,
    pub from: &'static str,
    pub to: &'static str,
    pub reason: &'static str,
    pub cause: &'static str,
    pub at_us: f64,
    pub count: u32,
    pub last_down: Option<NativeLastDown>,
    pub local_stall_us: f64,
    pub peer_passive: Option<bool>,
    pub ever_up: bool,
    pub conv_start_us: Option<f64>,
    pub last_rx_us: Option<f64>,
    pub long_round_trip_us: Option<f64>,
    pub local_diag: Option<u8>,
    pub remote_diag: Option<u8>,
}

impl From<SessionRecord> for NativeSessionRecord {
    fn from(record: SessionRecord) -> Self {
        let last_down = record.last_down.map(|down| NativeLastDown {
            at_us: time(down.at),
            reason: down.reason.name(),
            local_stall_us: number(down.local_stall_us),
        });
        let newest = record.newest;
        let diagnostics = newest.and_then(|to| to.diagnostics);
        Self {
            id: record.id.0,
            from: record.from.name(),
            to: newest.map_or(record.from, |to| to.to).name(),
            reason: newest.map_or("none", |to| to.reason.name()),
            cause: newest.map_or("handle_rx", |to| to.cause.name()),
            at_us: newest.map_or(0.0, |to| time(to.at)),
            count: record.count,
            last_down,
            local_stall_us: newest.map_or(0.0, |to| number(to.local_stall_us)),
            peer_passive: record.peer_passive,
            ever_up: newest.is_some_and(|to| to.ever_up),
            conv_start_us: newest.and_then(|to| to.conv_start).map(time),
            last_rx_us: newest.and_then(|to| to.last_rx).map(time),
            long_round_trip_us: record.long_round_trip_us.map(number),
            local_diag: diagnostics.map(|both| both.local as u8),
            remote_diag: diagnostics.map(|both| both.remote as u8),
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeRouteOutcome {
    pub id: u32,
    pub generation: u32,
    pub op: &'static str,
    pub ok: bool,
    pub code: Option<String>,
    pub message: Option<String>,
    pub duration_us: f64,
    pub at_us: f64,
    pub gone: bool,
    pub installed: bool,
    pub restore_at_us: Option<f64>,
    pub suppressed_until_us: Option<f64>,
    pub leg: &'static str,
}

impl From<RouteOutcome> for NativeRouteOutcome {
    fn from(outcome: RouteOutcome) -> Self {
        let error = outcome.result.err();
        Self {
            id: outcome.id.0,
            generation: outcome.generation,
            op: match outcome.op {
                RouteOp::Add => "add",
                RouteOp::Delete => "delete",
                RouteOp::None => "none",
            },
            ok: error.is_none(),
            code: error.as_ref().map(code_of),
            message: error.as_ref().map(ToString::to_string),
            duration_us: number(outcome.duration_us),
            at_us: time(outcome.at),
            gone: outcome.gone,
            installed: outcome.installed,
            restore_at_us: outcome.restore_at.map(time),
            suppressed_until_us: outcome.suppressed_until.map(time),
            leg: if outcome.leg == Leg::Primary { "primary" } else { "backup" },
        }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeTrouble {
    pub code: String,
    pub message: String,
}

impl From<Problem> for NativeTrouble {
    fn from(trouble: Problem) -> Self {
        Self { code: trouble.code, message: trouble.message }
    }
}

#[napi(object, object_from_js = false)]
pub struct NativeDelivery {
    pub sessions: Vec<NativeSessionRecord>,
    pub routes: Vec<NativeRouteOutcome>,
    pub warnings: Vec<NativeTrouble>,
    pub fatal: Either<NativeTrouble, Null>,
    pub more: bool,
}

impl NativeDelivery {
    pub fn new(delivery: Delivery, more: bool) -> Self {
        Self {
            sessions: delivery.sessions.into_iter().map(Into::into).collect(),
            routes: delivery.routes.into_iter().map(Into::into).collect(),
            warnings: delivery.warnings.into_iter().map(Into::into).collect(),
            fatal: delivery.fatal.map_or(Either::B(Null), |fatal| Either::A(fatal.into())),
            more,
        }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeDisarm {
    pub id: u32,
    pub generation: u32,
    pub remove: bool,
}

impl From<NativeDisarm> for Disarm {
    fn from(disarm: NativeDisarm) -> Self {
        Self { id: RouteId(disarm.id), generation: disarm.generation, remove: disarm.remove }
    }
}

#[napi(object, object_to_js = false)]
pub struct NativeRetry {
    pub id: u32,
    pub generation: u32,
}

#[napi(object)]
pub struct NativeRoute {
    pub table: u32,
    pub dst: String,
    pub prefix_length: u8,
    pub src: String,
    pub next_hop: String,
    pub protocol: u8,
    pub priority: u32,
    /// The name of the output interface.
    pub iface: Option<String>,
}

impl TryFrom<NativeRoute> for KernelRoute {
    type Error = Coded;

    /// The route with the name of its interface, which is looked up at each use.
    fn try_from(route: NativeRoute) -> std::result::Result<Self, Coded> {
        Ok(Self {
            table: route.table,
            destination: address_of_route(&route.dst)?,
            prefix_length: route.prefix_length,
            source: address_of_route(&route.src)?,
            next_hop: address_of_route(&route.next_hop)?,
            interface: 0,
            protocol: route.protocol,
            priority: route.priority,
            object: 0,
        })
    }
}

/// Of either family.
fn address_of_route(text: &str) -> std::result::Result<IpAddr, Coded> {
    text.parse().map_err(|_| coded("ERR_INVALID_ADDRESS", format!("Expected an IP address, got `{text}`")))
}

impl NativeRoute {
    /// Looks up the name of the interface through `socket`.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(route: &KernelRoute, socket: impl AsFd) -> nix::Result<Self> {
        Ok(Self {
            table: route.table,
            dst: route.destination.to_string(),
            prefix_length: route.prefix_length,
            src: route.source.to_string(),
            next_hop: route.next_hop.to_string(),
            protocol: route.protocol,
            priority: route.priority,
            iface: name_of(socket, route.interface)?,
        })
    }
}

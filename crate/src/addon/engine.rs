//! The class `NativeEngine`: a driver and its threads, for JavaScript.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddrV6, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use rustc_hash::FxHashMap;

use crate::addon::auth::NativeAuth;
use crate::addon::delivery::DeliveryBatch;
use crate::addon::doorbell::Doorbell;
use crate::addon::errors::{self, Coded, closed, coded, from_io, from_start};
use crate::addon::object_sweep::{NativeObjectFilter, SweepObjects};
use crate::addon::objects::{
    LocalAddr, NativeDelivery, NativeDisarm, NativeEngineOptions, NativePathFault, NativeRetry, NativeSessionPath,
    address,
};
use crate::addon::rows;
use crate::addon::snapshots::SnapshotRows;
use crate::addon::statistics::NativeStats;
use crate::driver::DriverOptions;
use crate::driver::command_queue::Command;
use crate::driver::handle::{Answer, DriverHandle};
use crate::driver::mailbox::Mailbox;
use crate::driver::snapshot::{SNAPSHOTS_AT_ONCE, SnapshotRequest, StatsReport};
use crate::engine::SessionId;
use crate::net::interface_names::{index_of, name_of};
use crate::protocol::Protocol;
use crate::protocol::bfd::Bfd;
use crate::protocol::bfd::rules::RFC5880;
use crate::protocol::liveness::{Identity, Liveness};
use crate::protocol::policy::Policy;
use crate::protocol::rules::{ROBUST, Rules};
use crate::routes::armed::ArmingPolicy;
use crate::routes::next_hop::ObjectRange;
use crate::routes::outcome::RouteId;

#[napi]
pub struct NativeEngine {
    /// `None` after `close`.
    driver: RefCell<Option<DriverHandle>>,
    mailbox: Arc<Mailbox>,
    batch: RefCell<DeliveryBatch>,
    doorbell: Doorbell,
    resumed: u32,
    /// The numbers that next-hop objects may have.
    objects: ObjectRange,
}

#[napi]
impl NativeEngine {
    #[napi(constructor)]
    pub fn new(options: NativeEngineOptions, doorbell: Function<'_, (), ()>) -> std::result::Result<Self, Coded> {
        let doorbell = Doorbell::new(doorbell)?;
        let mailbox = Arc::new(Mailbox::new(doorbell.button()));
        let objects = options.next_hop_objects.as_ref().map(ObjectRange::from).unwrap_or_default();
        let driver = start(options, Arc::clone(&mailbox))?;
        let resumed = u32::try_from(driver.resumed()).unwrap_or(u32::MAX);
        Ok(Self { driver: RefCell::new(Some(driver)), mailbox, batch: RefCell::default(), doorbell, resumed, objects })
    }

    #[napi(ts_return_type = "{ address: string; port: number } | null")]
    pub fn local_addr(&self) -> Option<LocalAddr> {
        Some(self.driver.borrow().as_ref()?.local_addr().into())
    }

    /// How many sessions of a predecessor go on.
    #[napi(getter)]
    pub fn resumed(&self) -> u32 {
        self.resumed
    }

    /// The paths that cannot work on this host now, with the reason.
    #[napi]
    pub fn check_paths(&self, paths: Vec<NativeSessionPath>) -> std::result::Result<Vec<NativePathFault>, Coded> {
        let socket = Socket::new(NETLINK_ROUTE).map_err(|error| from_io(&error))?;
        let mut interfaces: FxHashMap<String, Option<Interface>> = FxHashMap::default();
        let mut addresses: FxHashMap<(IpAddr, u32), bool> = FxHashMap::default();
        let mut faults = Vec::new();
        for (path, index) in paths.into_iter().zip(0u32..) {
            if !interfaces.contains_key(&path.iface) {
                interfaces.insert(path.iface.clone(), Interface::named(&socket, &path.iface)?);
            }
            // Sessions and notices use the interface's primary name, not an alternative name or a label.
            let known = interfaces[&path.iface].as_ref();
            let real_name = known.map(|interface| &interface.name).filter(|name| **name != path.iface).cloned();
            let exists = known.is_some() && real_name.is_none();
            let local = (address(&path.local_ip)?, known.map_or(0, |interface| interface.index));
            let is_local = match addresses.entry(local) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(is_local_address(local.0, local.1)?),
            };
            let code = match (exists, is_local) {
                (false, _) => "ERR_NO_SUCH_INTERFACE",
                (true, false) => "EADDRNOTAVAIL",
                (true, true) => continue,
            };
            faults.push(NativePathFault { index, code: code.to_owned(), real_name });
        }
        Ok(faults)
    }

    #[napi]
    pub fn open_multihop(&self) -> std::result::Result<(), Coded> {
        let opened = self.ask(Command::OpenMultihop)?;
        opened.map_err(|errno| {
            coded(errors::name_of(errno), format!("cannot open the multihop sockets: {}", errno.desc()))
        })
    }

    #[napi]
    pub fn add_sessions(
        &self,
        rows: &[u32],
        interfaces: Vec<String>,
        auths: Vec<NativeAuth>,
    ) -> std::result::Result<(), Coded> {
        self.send(Command::AddSessions(rows::sessions(rows, interfaces, auths)?))
    }

    #[napi]
    pub fn update_sessions(
        &self,
        rows: &[u32],
        interfaces: Vec<String>,
        auths: Vec<NativeAuth>,
    ) -> std::result::Result<(), Coded> {
        self.send(Command::UpdateSessions(rows::sessions(rows, interfaces, auths)?))
    }

    #[napi]
    pub fn remove_sessions(&self, ids: Vec<u32>) -> std::result::Result<(), Coded> {
        self.send(Command::RemoveSessions(session_ids(ids)))
    }

    #[napi]
    pub fn set_admin_down(&self, ids: Vec<u32>, down: bool) -> std::result::Result<(), Coded> {
        let ids = session_ids(ids);
        self.send(if down { Command::AdminDown(ids) } else { Command::AdminUp(ids) })
    }

    /// Begins or ends the maintenance of these sessions, or of all.
    #[napi]
    pub fn set_maintenance(&self, ids: Either<Vec<u32>, Null>, active: bool) -> std::result::Result<(), Coded> {
        let sessions = match ids {
            Either::A(ids) => Some(session_ids(ids)),
            Either::B(Null) => None,
        };
        self.send(Command::SetMaintenance(sessions, active))
    }

    /// Resolves with whether the engine's thread has answered.
    #[napi(ts_return_type = "Promise<boolean>")]
    pub fn ping(&self) -> std::result::Result<AsyncTask<Ping>, Coded> {
        let answer = self.driver.borrow().as_ref().ok_or_else(closed)?.put(Command::Ping);
        Ok(AsyncTask::new(Ping(Some(answer))))
    }

    /// A row for each of the given sessions, or of all sessions; unknown ids are omitted. The driver copies sessions in portions,
    /// so that its turns stay short.
    #[napi]
    pub fn snapshots(&self, ids: Either<Vec<u32>, Null>) -> std::result::Result<Float64Array, Coded> {
        let mut rows = SnapshotRows::default();
        match ids {
            Either::A(ids) => {
                rows = SnapshotRows::with_room_for(ids.len());
                for some in ids.chunks(SNAPSHOTS_AT_ONCE) {
                    let wanted = SnapshotRequest::These(session_ids(some.to_vec()));
                    self.ask(|answer| Command::Snapshots(wanted, answer))?
                        .sessions
                        .iter()
                        .for_each(|session| rows.push(session));
                }
            }
            Either::B(Null) => {
                let mut next = Some(0);
                while let Some(slot) = next {
                    let portion = self.ask(|answer| Command::Snapshots(SnapshotRequest::From(slot), answer))?;
                    portion.sessions.iter().for_each(|session| rows.push(session));
                    next = portion.next;
                }
            }
        }
        Ok(rows.into_numbers().into())
    }

    #[napi]
    pub fn stats(&self) -> std::result::Result<NativeStats, Coded> {
        Ok(self.ask(Command::Stats)?.into())
    }

    #[napi]
    pub fn arm(&self, rows: &[u32], interfaces: Vec<String>) -> std::result::Result<(), Coded> {
        self.send(Command::Arm(rows::routes(rows, interfaces)?))
    }

    #[napi]
    pub fn disarm(&self, routes: Vec<NativeDisarm>) -> std::result::Result<(), Coded> {
        self.send(Command::Disarm(routes.into_iter().map(Into::into).collect()))
    }

    #[napi]
    pub fn retry(&self, routes: Vec<NativeRetry>) -> std::result::Result<(), Coded> {
        self.send(Command::Retry(routes.into_iter().map(|retry| (RouteId(retry.id), retry.generation)).collect()))
    }

    /// Deletes the next-hop objects of a predecessor that no route uses and that none of ours needs. Resolves with their number.
    #[napi(ts_return_type = "Promise<number>")]
    pub fn sweep_objects(&self, filter: NativeObjectFilter) -> std::result::Result<AsyncTask<SweepObjects>, Coded> {
        let driver = self.driver.borrow().as_ref().ok_or_else(closed)?.questioner();
        Ok(AsyncTask::new(SweepObjects::new(self.objects, &filter, Some(driver))))
    }

    /// Takes a portion of the records that wait for JavaScript. Works after `close` too, since the last records may still wait.
    #[napi]
    pub fn drain(&self) -> NativeDelivery {
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            *batch = self.mailbox.drain().into();
        }
        batch.next()
    }

    /// Ends the threads and closes the socket. Resolves with the last counters when both are done. With `forget`, or
    /// `admin_down`, a successor finds no sessions in the state file.
    #[napi(ts_return_type = "Promise<NativeStats | null>")]
    pub fn close(&self, admin_down: bool, forget: bool) -> AsyncTask<Close> {
        let doorbell = self.doorbell.share();
        let driver = self.driver.borrow_mut().take();
        // At once: the pool that waits for the thread may be busy, and a successor waits for the port.
        if let Some(driver) = &driver {
            driver.begin_close(admin_down, forget);
        }
        AsyncTask::new(Close { driver, doorbell, admin_down, forget })
    }

    #[napi(js_name = "ref")]
    pub fn refer(&self, env: Env) -> Result<()> {
        self.doorbell.refer(&env)
    }

    #[napi]
    pub fn unref(&self, env: Env) -> Result<()> {
        self.doorbell.unref(&env)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Command) -> std::result::Result<T, Coded> {
        Ok(self.driver.borrow().as_ref().ok_or_else(closed)?.ask(question)?)
    }

    fn send(&self, command: Command) -> std::result::Result<(), Coded> {
        self.driver.borrow().as_ref().ok_or_else(closed)?.send(command);
        Ok(())
    }
}

pub struct Ping(Option<Answer<()>>);

impl Task for Ping {
    type Output = bool;
    type JsValue = bool;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.0.take().is_some_and(|answer| answer.wait().is_ok()))
    }

    fn resolve(&mut self, _: Env, answered: Self::Output) -> Result<Self::JsValue> {
        Ok(answered)
    }
}

pub struct Close {
    driver: Option<DriverHandle>,
    doorbell: Doorbell,
    admin_down: bool,
    forget: bool,
}

impl Task for Close {
    type Output = Option<StatsReport>;
    type JsValue = Either<NativeStats, Null>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.driver.take().and_then(|driver| driver.close(self.admin_down, self.forget)))
    }

    fn resolve(&mut self, _: Env, last: Self::Output) -> Result<Self::JsValue> {
        self.doorbell.let_go();
        Ok(last.map_or(Either::B(Null), |last| Either::A(last.into())))
    }
}

/// Starts a driver of the protocol that the options name.
fn start(options: NativeEngineOptions, mailbox: Arc<Mailbox>) -> std::result::Result<DriverHandle, Coded> {
    let started = match options.protocol.as_str() {
        "liveness" => {
            let identity = identity(&options)?;
            DriverHandle::start(driver_options::<Liveness>(options, &ROBUST, identity)?, mailbox)
        }
        "bfd" => DriverHandle::start(driver_options::<Bfd>(options, &RFC5880, None)?, mailbox),
        other => return Err(coded("ERR_CONFIG", format!("unknown protocol `{other}`"))),
    };
    started.map_err(|error| from_start(&error))
}

fn identity(options: &NativeEngineOptions) -> std::result::Result<Option<Identity>, Coded> {
    let version = options.client_version.as_deref().map(|bytes| {
        <[u8; 4]>::try_from(bytes)
            .map_err(|_| coded("ERR_CONFIG", format!("Expected four bytes of version, got {}", bytes.len())))
    });
    let version = version.transpose()?;
    let says_something = options.passive || version.is_some();
    Ok(says_something.then(|| Identity { passive: options.passive, version: version.unwrap_or_default() }))
}

fn driver_options<P: Protocol>(
    options: NativeEngineOptions,
    rules: &'static Rules,
    identity: Option<P::Identity>,
) -> std::result::Result<DriverOptions<P>, Coded> {
    let addresses = options.bind_ips.iter().map(|text| address(text));
    Ok(DriverOptions {
        addresses: addresses.collect::<std::result::Result<_, _>>()?,
        port: options.port,
        multihop_port: options.multihop_port,
        policy: Policy {
            rules,
            min_tx_floor_us: options.min_tx_floor_us,
            max_tx_ceil_us: options.max_tx_ceil_us,
            backoff_max_us: options.backoff_max_us,
            require_discriminator: options.require_discriminator,
            min_ttl: options.min_ttl.unwrap_or(P::MIN_TTL),
            identity,
        },
        max_sessions: options.max_sessions as usize,
        arming_policy: ArmingPolicy {
            take_over: options.take_over,
            honor_peer_passive: options.honor_peer_advertised_passive,
            mass_down: options.mass_down.map(Into::into),
            objects: options.next_hop_objects.as_ref().map(Into::into),
        },
        realtime: options.realtime.map(Into::into).unwrap_or_default(),
        withdraw_on_fatal: options.withdraw_on_fatal,
        filter_repeats: options.filter_repeats,
        resume: options.resume.map(PathBuf::from),
    })
}

/// An interface that exists.
struct Interface {
    index: u32,
    /// Its primary name.
    name: String,
}

impl Interface {
    /// The interface that `name` names, which may be an alternative name or a label of one of its addresses; `None` if there is
    /// no such interface.
    fn named(socket: &Socket, name: &str) -> std::result::Result<Option<Self>, Coded> {
        let find = || {
            let Some(index) = index_of(socket, name)? else { return Ok(None) };
            Ok(name_of(socket, index)?.map(|name| Self { index, name }))
        };
        find().map_err(|errno: Errno| {
            coded(errors::name_of(errno), format!("cannot look for the interface {name}: {errno}"))
        })
    }
}

/// Whether packets can be sent from an address: the kernel lets a socket bind to it. That includes the loopback net. A
/// link-local address is one of an interface.
fn is_local_address(address: IpAddr, ifindex: u32) -> std::result::Result<bool, Coded> {
    let bound = match address {
        IpAddr::V4(address) => UdpSocket::bind((address, 0)),
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            UdpSocket::bind(SocketAddrV6::new(address, 0, 0, ifindex))
        }
        IpAddr::V6(address) => UdpSocket::bind((address, 0)),
    };
    match bound {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(false),
        // The kernel checks the address before it looks for a free port.
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(true),
        Err(error) => Err(from_io(&error)),
    }
}

fn session_ids(ids: Vec<u32>) -> Vec<SessionId> {
    ids.into_iter().map(SessionId).collect()
}

//! What happens to the kernel's tables behind our back, told by rtnetlink: a thread listens, and has somebody look after
//! what it hears.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use netlink_packet_core::{NLM_F_EXCL, NLM_F_REPLACE, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::armed::Suspicion;
use crate::clock;
use crate::kernel_route::{KernelRoute, Slot};
use crate::routes::{each_message, enlarge_receive_buffer, from_message, slot_of};
use crate::time::Time;

/// linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV4_ROUTE.
const GROUPS: u32 = 0x1 | 0x10 | 0x40;

/// Changes of links and addresses come in bursts: what they cast doubt on is looked at once, so long after the first.
const GATHER_US: u64 = 10_000;

/// What a batch of notifications says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Routes that somebody else deleted.
    pub gone: Vec<KernelRoute>,
    /// Slots into which somebody else put a route that may have replaced ours: it was added to an empty slot, or in place of
    /// another. What was appended or prepended has replaced nothing.
    pub taken: Vec<Slot>,
    /// What changes of links and addresses cast doubt on.
    pub suspicion: Suspicion,
}

impl Notices {
    /// Reads notifications; what `own_port` asked for is no news.
    pub fn read(&mut self, bytes: &[u8], own_port: u32) {
        each_message(bytes, |message| {
            let (flags, is_own) = (message.header.flags, message.header.port_number == own_port);
            let NetlinkPayload::InnerMessage(told) = message.payload else { return };
            match told {
                RouteNetlinkMessage::DelRoute(route) if !is_own => self.gone.extend(from_message(&route)),
                RouteNetlinkMessage::NewRoute(route) if !is_own && flags & (NLM_F_EXCL | NLM_F_REPLACE) != 0 => {
                    self.taken.extend(slot_of(&route));
                }
                RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
                    self.suspect_interface(link.header.index);
                }
                RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
                    self.suspect_interface(address.header.index);
                    self.suspicion.sources.extend(local_address(&address));
                }
                _ => {}
            }
        });
    }

    fn suspect_interface(&mut self, index: u32) {
        if !self.suspicion.interfaces.contains(&index) {
            self.suspicion.interfaces.push(index);
        }
    }
}

fn local_address(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(std::net::IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}

/// Who looks after what is heard. Every call comes from the watching thread.
pub trait Watcher: Send {
    /// Somebody deleted routes, or put some into slots.
    fn heard(&mut self, gone: &[KernelRoute], taken: &[Slot]);

    /// Links or addresses changed, or notices were lost.
    fn suspect(&mut self, suspicion: &Suspicion);

    /// Does what is due, and gives when there is more to do.
    fn work(&mut self) -> Option<Time>;

    /// The thread has stopped by itself, for this reason. Nothing follows.
    fn failed(&mut self, reason: String);
}

/// A thread that listens. Dropping it ends the thread.
pub struct Watch {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Has the thread look at its work anew.
#[derive(Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// # Errors
    /// What the system says about an event descriptor.
    pub fn new() -> nix::Result<Self> {
        EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(|wake| Self(Arc::new(wake)))
    }

    pub fn wake(&self) {
        // Fails only where the counter is full, and then the thread has long been woken.
        let _ = self.0.write(1);
    }
}

impl Watch {
    /// Starts to listen. `own_port` is whose changes are no news.
    ///
    /// # Errors
    /// What the system says about a netlink socket or a thread.
    pub fn start(own_port: u32, waker: Waker, watcher: Box<dyn Watcher>) -> std::io::Result<Self> {
        let mut notifications = Socket::new(NETLINK_ROUTE)?;
        notifications.set_non_blocking(true)?;
        // A table with thousands of routes is emptied in one go; what does not fit is made up for by looking at everything.
        enlarge_receive_buffer(&notifications)?;
        notifications.bind(&SocketAddr::new(0, GROUPS))?;
        let mut listener = Listener {
            notifications,
            own_port,
            watcher,
            wake: waker.clone(),
            suspicion: Suspicion::default(),
            suspect_at: None,
            work_at: None,
        };
        let thread = thread::Builder::new().name("liveness-watch".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener.run()));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(errno)) => listener.watcher.failed(errno.desc().to_owned()),
                Err(panic) => listener.watcher.failed(crate::panics::text(&*panic).to_owned()),
            }
        })?;
        Ok(Self { waker, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The greatest value there is cannot come from waking.
        let _ = self.waker.0.write(STOP);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Beyond any number of wake-ups.
const STOP: u64 = 1 << 62;

struct Listener {
    notifications: Socket,
    own_port: u32,
    watcher: Box<dyn Watcher>,
    wake: Waker,
    suspicion: Suspicion,
    /// When the suspicion is to be followed.
    suspect_at: Option<Time>,
    work_at: Option<Time>,
}

impl Listener {
    fn run(&mut self) -> nix::Result<()> {
        loop {
            let mut ready = [
                PollFd::new(self.wake.0.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.notifications.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, self.patience()) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            let (is_woken, is_told) = (ready[0].any() == Some(true), ready[1].any() == Some(true));
            if is_woken && self.wake.0.read().is_ok_and(|count| count >= STOP) {
                return Ok(());
            }
            if is_told {
                self.hear()?;
            }
            if self.suspect_at.is_some_and(|at| at <= clock::now()) {
                self.suspect_at = None;
                self.watcher.suspect(&std::mem::take(&mut self.suspicion));
            }
            self.work_at = self.watcher.work();
        }
    }

    /// Rounded up: nothing is done too early.
    fn patience(&self) -> PollTimeout {
        let Some(at) = [self.work_at, self.suspect_at].into_iter().flatten().min() else { return PollTimeout::NONE };
        let millis = at.since(clock::now()).div_ceil(1_000);
        u16::try_from(millis).map_or(PollTimeout::MAX, PollTimeout::from)
    }

    fn hear(&mut self) -> nix::Result<()> {
        let mut heard = Notices::default();
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            buffer.clear();
            match self.notifications.recv(&mut buffer, 0) {
                Ok(_) => heard.read(&buffer, self.own_port),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    Some(libc::EINTR) => {}
                    // Some were lost.
                    Some(libc::ENOBUFS) => heard.suspicion.all = true,
                    number => return Err(Errno::from_raw(number.unwrap_or(libc::EIO))),
                },
            }
        }
        let Notices { gone, taken, suspicion } = heard;
        if !gone.is_empty() || !taken.is_empty() {
            self.watcher.heard(&gone, &taken);
        }
        if !suspicion.is_empty() {
            self.suspicion.add(suspicion);
            self.suspect_at.get_or_insert_with(|| clock::now().plus(GATHER_US));
        }
        Ok(())
    }
}

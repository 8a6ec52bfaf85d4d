//! What happens to the kernel's tables behind our back, told by rtnetlink: a thread listens, has what was taken put back,
//! and lets go of adopted routes when their time is over.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rustc_hash::FxHashSet;

use crate::clock;
use crate::orders::Orders;
use crate::routes::{KernelRoute, RouteSocket, Slot, each_message, from_message, slot_of};
use crate::time::Time;

/// linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV4_ROUTE.
const GROUPS: u32 = 0x1 | 0x10 | 0x40;

/// A table with thousands of routes is emptied in one go; what does not fit is made up for by a list.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// How what was noticed reaches the orders.
pub type OnOrders = Box<dyn Fn(&mut dyn FnMut(&mut Orders)) + Send>;

/// What a batch of notifications says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Routes that somebody else deleted.
    pub gone: Vec<KernelRoute>,
    /// Slots that somebody else put a route into, and which one if it is of our kind.
    pub taken: Vec<(Slot, Option<KernelRoute>)>,
    /// An interface or an address changed: the kernel drops routes with them and does not say which.
    pub unclear: bool,
}

impl Notices {
    /// Reads notifications; what `own_port` asked for is no news.
    #[must_use]
    pub fn read(bytes: &[u8], own_port: u32) -> Self {
        let mut notices = Self::default();
        each_message(bytes, |message| match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(route))
                if message.header.port_number != own_port =>
            {
                notices.gone.extend(from_message(&route));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route))
                if message.header.port_number != own_port =>
            {
                notices.taken.push((slot_of(&route), from_message(&route)));
            }
            NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewLink(_)
                | RouteNetlinkMessage::DelLink(_)
                | RouteNetlinkMessage::NewAddress(_)
                | RouteNetlinkMessage::DelAddress(_),
            ) => notices.unclear = true,
            _ => {}
        });
        notices
    }
}

/// A thread that listens. Dropping it ends the thread.
pub struct Watch {
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to listen. `own_port` is whose deletions are no news.
    ///
    /// # Errors
    /// What the system says about a netlink socket, an event descriptor or a thread.
    pub fn start(own_port: u32, orders: OnOrders) -> std::io::Result<Self> {
        let mut notifications = Socket::new(NETLINK_ROUTE)?;
        notifications.set_non_blocking(true)?;
        notifications.set_rx_buf_sz(RECEIVE_BUFFER)?;
        notifications.bind(&SocketAddr::new(0, GROUPS))?;
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let watcher = Watcher {
            notifications,
            lister: RouteSocket::new()?,
            own_port,
            orders,
            wake: Arc::clone(&wake),
            hold_end: None,
        };
        let thread = thread::Builder::new().name("liveness-watch".into()).spawn(move || watcher.run())?;
        Ok(Self { wake, thread: Some(thread) })
    }

    /// Looks at the orders anew: routes may have been adopted.
    pub fn look(&self) {
        // Fails only where the counter is full, and then the thread has long been woken.
        let _ = self.wake.write(1);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The greatest value there is cannot come from looks.
        let _ = self.wake.write(STOP);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Beyond any number of looks.
const STOP: u64 = 1 << 62;

struct Watcher {
    notifications: Socket,
    lister: RouteSocket,
    own_port: u32,
    orders: OnOrders,
    wake: Arc<EventFd>,
    hold_end: Option<Time>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            let mut ready = [
                PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.notifications.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, self.patience()) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => panic!("poll of two descriptors of our own: {errno}"),
            }
            let (is_woken, is_told) = (ready[0].any() == Some(true), ready[1].any() == Some(true));
            if is_woken && self.wake.read().is_ok_and(|count| count >= STOP) {
                return;
            }
            if is_told {
                self.hear();
            }
            self.release();
        }
    }

    /// Rounded up: an adopted route is not let go of too early.
    fn patience(&self) -> PollTimeout {
        let Some(end) = self.hold_end else { return PollTimeout::NONE };
        let millis = end.since(clock::now()).div_ceil(1_000);
        u16::try_from(millis).map_or(PollTimeout::MAX, PollTimeout::from)
    }

    fn hear(&mut self) {
        let mut heard = Notices::default();
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            buffer.clear();
            match self.notifications.recv(&mut buffer, 0) {
                Ok(_) => {
                    let Notices { gone, taken, unclear } = Notices::read(&buffer, self.own_port);
                    heard.gone.extend(gone);
                    heard.taken.extend(taken);
                    heard.unclear |= unclear;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // Some were lost: the tables say what.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heard.unclear = true,
                Err(_) => break,
            }
        }
        if !heard.gone.is_empty() || !heard.taken.is_empty() {
            let now = clock::now();
            (self.orders)(&mut |orders| {
                heard.gone.iter().for_each(|route| orders.lost(route, now));
                heard.taken.iter().for_each(|(slot, route)| orders.taken(slot, route.as_ref(), now));
            });
        }
        if heard.unclear {
            self.reconcile();
        }
    }

    fn reconcile(&mut self) {
        let mut protocols = Vec::new();
        (self.orders)(&mut |orders| protocols = orders.protocols());
        let listed_at = clock::now();
        let mut held = FxHashSet::default();
        for protocol in protocols {
            match self.lister.list(protocol) {
                Ok(routes) => held.extend(routes),
                // A list that cannot be had proves nothing; the next change asks again.
                Err(_) => return,
            }
        }
        let now = clock::now();
        (self.orders)(&mut |orders| orders.reconcile(&held, listed_at, now));
    }

    fn release(&mut self) {
        let now = clock::now();
        let mut hold_end = None;
        (self.orders)(&mut |orders| {
            orders.release(now);
            hold_end = orders.next_hold_end();
        });
        self.hold_end = hold_end;
    }
}

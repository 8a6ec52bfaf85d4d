//! The route monitor: a thread that listens to rtnetlink for changes that other processes make to the kernel's tables, and
//! hands them to a handler.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use libc::sock_filter;
use netlink_packet_core::{NLM_F_EXCL, NLM_F_REPLACE, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::kernel_route::{KernelRoute, Slot};
use crate::routes::listing::{from_message, has_siblings, slot_of};
use crate::routes::next_hop_request::take_objects;
use crate::system::clock;
use crate::system::netlink::{each_message, enlarge_receive_buffer};
use crate::system::packet_program::{self, keep, statement, unless};

/// linux/rtnetlink.h: RTMGRP_LINK, and RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR and RTMGRP_IPV6_ROUTE.
/// And RTNLGRP_NEXTHOP, the 32nd.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400 | 1 << 31;

/// The sender of notices of what the kernel did by itself.
const KERNEL_PORT: u32 = 0;

/// linux/netlink.h: where the header of a message says who asked for it.
const PORT_OFFSET: u32 = 12;

/// Changes of links and addresses come in bursts: what they cast doubt on is looked at once, so long after the first.
const GATHER_US: u64 = 10_000;

/// All routes are looked at no more often than this, however many notices are lost.
const LOOK_AT_ALL_US: u64 = 1_000_000;

/// What a batch of notifications says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Routes that another process deleted.
    pub gone: Vec<KernelRoute>,
    /// Slots into which another process put a route that may have replaced ours: it was added to an empty slot, or in place
    /// of another. A route that was appended or prepended has replaced nothing.
    pub taken: Vec<Slot>,
    /// What changes of links and addresses cast doubt on.
    pub affected: AffectedRoutes,
    /// Next-hop objects that were deleted or changed, and whether another process did it: the kernel deletes them with their link.
    pub objects: Vec<(u32, bool)>,
}

impl Notices {
    /// Reads notifications; changes that `own_port` asked for are skipped.
    pub fn read(&mut self, bytes: &[u8], own_port: u32) {
        let bytes = take_objects(bytes, |told, port| {
            if port != own_port {
                self.objects.push((told.id, port != KERNEL_PORT));
            }
        });
        let is_complete = each_message(&bytes, |message| {
            let (flags, port) = (message.header.flags, message.header.port_number);
            let is_own = port == own_port;
            let NetlinkPayload::InnerMessage(told) = message.payload else { return };
            match told {
                RouteNetlinkMessage::DelRoute(route) if !is_own => self.add_deleted(&route, port == KERNEL_PORT),
                RouteNetlinkMessage::NewRoute(route) if !is_own && flags & (NLM_F_EXCL | NLM_F_REPLACE) != 0 => {
                    self.taken.extend(slot_of(&route));
                }
                RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
                    self.add_interface(link.header.index);
                }
                RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address)
                    if address.header.family == AddressFamily::Inet =>
                {
                    self.add_interface(address.header.index);
                    self.affected.sources.extend(local_address(&address));
                }
                // Of the routes with this source the kernel takes the source away. It tells of routes that it deletes. A new
                // address costs none, and one that a router announces is new with every announcement.
                RouteNetlinkMessage::DelAddress(address) => self.affected.sources.extend(local_address(&address)),
                _ => {}
            }
        });
        // What could not be read may have been about any route.
        self.affected.all |= !is_complete;
    }

    fn add_deleted(&mut self, message: &RouteMessage, by_kernel: bool) {
        let route = from_message(message);
        match route {
            // It goes with its object, of which the kernel tells as well.
            Some(route) if by_kernel && route.object != 0 => {}
            // The kernel tells of each IPv6 route that it deletes with a link or an address, before it tells of those.
            Some(route) if by_kernel && route.is_ipv6() => self.add_interface(route.interface),
            // Of siblings, only the slot is told for certain.
            _ if has_siblings(message) => self.taken.extend(slot_of(message)),
            route => self.gone.extend(route),
        }
    }

    fn add_interface(&mut self, index: u32) {
        if !self.affected.interfaces.contains(&index) {
            self.affected.interfaces.push(index);
        }
    }
}

/// Keeps all notices but those of changes that a port asked for, so that they wake nobody.
fn all_but_by(port: u32) -> Vec<sock_filter> {
    // What a program loads it takes for big-endian; the header is in the order of the host.
    let told = u32::from_be_bytes(port.to_ne_bytes());
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, PORT_OFFSET)];
    program.extend(unless(libc::BPF_JEQ, told));
    program.push(keep());
    program
}

fn local_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    // In IPv6 the address of the interface, where it is not one end of a point-to-point link, is in this attribute alone.
    let only = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) if address.is_ipv6() => Some(*address),
        _ => None,
    });
    local.or(only)
}

/// What handles changes. Every call comes from the monitor's thread.
pub trait MonitorHandler: Send {
    /// Another process deleted routes, or put routes into slots.
    fn routes_changed(&mut self, gone: &[KernelRoute], taken: &[Slot]);

    /// Next-hop objects were deleted or changed, by another process where it says so.
    fn objects_lost(&mut self, objects: &[(u32, bool)]);

    /// Links or addresses changed, or notices were lost.
    fn recheck(&mut self, affected: &AffectedRoutes);

    /// Does what is due, and gives when there is more to do.
    fn work(&mut self) -> Option<Time>;

    /// The thread has stopped by itself, for this reason. Nothing follows.
    fn failed(&mut self, reason: String);
}

/// A thread that listens. Dropping it ends the thread.
pub struct RouteMonitor {
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

    /// Wakes the thread.
    pub fn wake(&self) {
        // Fails only where the counter is full, and then the thread has long been woken.
        let _ = self.0.write(1);
    }
}

impl RouteMonitor {
    /// Starts to listen. Changes by `own_port` are not reported.
    ///
    /// # Errors
    /// What the system says about a netlink socket or a thread.
    pub fn start(own_port: u32, waker: Waker, watcher: Box<dyn MonitorHandler>) -> std::io::Result<Self> {
        let mut notifications = Socket::new(NETLINK_ROUTE)?;
        notifications.set_non_blocking(true)?;
        // A table with thousands of routes is emptied in one go; what does not fit is made up for by looking at everything.
        enlarge_receive_buffer(&notifications)?;
        // The move of a next-hop object is told once for each of its routes, in the call that the worker waits for. Without
        // this, what is not wanted is skipped when it is read.
        let _ = packet_program::attach(&notifications, &all_but_by(own_port));
        notifications.bind(&SocketAddr::new(0, GROUPS))?;
        let mut listener = Listener {
            notifications,
            own_port,
            watcher,
            wake: waker.clone(),
            affected: AffectedRoutes::default(),
            recheck_at: None,
            looked_at_all: None,
            work_at: None,
        };
        let thread = thread::Builder::new().name("liveness-watch".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener.run()));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(errno)) => listener.watcher.failed(errno.desc().to_owned()),
                Err(panic) => listener.watcher.failed(crate::system::panics::text(&*panic).to_owned()),
            }
        })?;
        Ok(Self { waker, thread: Some(thread) })
    }
}

impl Drop for RouteMonitor {
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
    watcher: Box<dyn MonitorHandler>,
    wake: Waker,
    affected: AffectedRoutes,
    /// When the suspicion is to be followed.
    recheck_at: Option<Time>,
    looked_at_all: Option<Time>,
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
            if self.recheck_at.is_some_and(|at| at <= clock::now()) {
                self.recheck_at = None;
                let affected = std::mem::take(&mut self.affected);
                self.looked_at_all = if affected.all { Some(clock::now()) } else { self.looked_at_all };
                self.watcher.recheck(&affected);
            }
            self.work_at = self.watcher.work();
        }
    }

    /// Rounded up: nothing is done too early.
    fn patience(&self) -> PollTimeout {
        let Some(at) = [self.work_at, self.recheck_at].into_iter().flatten().min() else { return PollTimeout::NONE };
        let millis = at.since(clock::now()).div_ceil(1_000);
        u16::try_from(millis).map_or(PollTimeout::MAX, PollTimeout::from)
    }

    fn hear(&mut self) -> nix::Result<()> {
        let mut routes_changed = Notices::default();
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            buffer.clear();
            match self.notifications.recv(&mut buffer, 0) {
                Ok(_) => routes_changed.read(&buffer, self.own_port),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    Some(libc::EINTR) => {}
                    // Some were lost.
                    Some(libc::ENOBUFS) => routes_changed.affected.all = true,
                    number => return Err(Errno::from_raw(number.unwrap_or(libc::EIO))),
                },
            }
        }
        let Notices { gone, taken, affected, objects } = routes_changed;
        if !objects.is_empty() {
            self.watcher.objects_lost(&objects);
        }
        if !gone.is_empty() || !taken.is_empty() {
            self.watcher.routes_changed(&gone, &taken);
        }
        if !affected.is_empty() {
            let now = clock::now();
            let soon = now.plus(GATHER_US);
            let is_all = affected.all;
            self.affected.add(affected);
            let at = self.recheck_at.get_or_insert(soon);
            if is_all {
                *at = soon.max(self.looked_at_all.map_or(soon, |at| at.plus(LOOK_AT_ALL_US)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use netlink_packet_core::NLMSG_OVERRUN;

    use super::*;
    use crate::system::netlink::captured::{self, bytes, message};

    fn routes_changed(datagrams: &[&[u8]], own_port: u32) -> Notices {
        let mut notices = Notices::default();
        datagrams.iter().for_each(|datagram| notices.read(datagram, own_port));
        notices
    }

    fn port_of(datagram: &[u8]) -> u32 {
        u32::from_ne_bytes(datagram[12..16].try_into().unwrap())
    }

    #[test]
    fn a_route_that_was_added_or_replaced_takes_its_slot_and_one_that_was_appended_or_prepended_does_not() {
        for (text, takes) in [
            (captured::ROUTE_ADDED, 1),
            (captured::ROUTE_REPLACED, 1),
            (captured::ROUTE_APPENDED, 0),
            (captured::ROUTE_PREPENDED, 0),
            (captured::ROUTE_OTHER_TOS, 0),
        ] {
            let notices = routes_changed(&[&bytes(text)], 0);
            assert_eq!((notices.taken.len(), notices.gone.len()), (takes, 0), "{text}");
            assert!(notices.affected.is_empty());
            let expected =
                Slot { table: 254, destination: IpAddr::from([10, 9, 0, 7]), prefix_length: 32, priority: 0 };
            assert!(notices.taken.iter().all(|slot| *slot == expected));
        }
    }

    #[test]
    fn a_deleted_route_is_reported_in_full_and_our_own_deletion_is_not_reported() {
        let datagram = bytes(captured::ROUTE_DELETED);
        let notices = routes_changed(&[&datagram], 0);
        let [gone] = notices.gone[..] else { panic!("{notices:?}") };
        assert_eq!((gone.next_hop, gone.source), (IpAddr::from([10, 1, 0, 2]), IpAddr::from([10, 1, 0, 1])));
        assert_eq!((gone.protocol, gone.priority), (186, 0));
        assert_ne!(gone.interface, 0);
        assert_eq!(routes_changed(&[&datagram], port_of(&datagram)), Notices::default());
    }

    #[test]
    fn the_kernel_hands_over_changes_that_another_port_asked_for_and_not_our_own() {
        let notice = bytes(captured::ROUTE_DELETED);
        let by = port_of(&notice);
        for (own_port, handed_over) in [(by, 0), (by + 1, 1), (by.swap_bytes(), 1)] {
            let (sender, receiver) = UnixDatagram::pair().unwrap();
            packet_program::attach(&receiver, &all_but_by(own_port)).unwrap();
            sender.send(&notice).unwrap();
            sender.send(&[0; 16]).unwrap();
            let mut buffer = [0; 1024];
            let first = receiver.recv(&mut buffer).unwrap();
            assert_eq!(usize::from(buffer[..first] == notice), handed_over, "{own_port}");
        }
    }

    #[test]
    fn an_address_that_goes_affects_the_routes_with_it_and_a_link_those_over_it() {
        let notices = routes_changed(&[&bytes(captured::ADDRESS_REMOVED)], 0);
        assert_eq!(notices.affected.sources, [IpAddr::from([10, 3, 0, 1])]);
        assert_eq!(notices.affected.interfaces.len(), 1);
        let notices = routes_changed(&[&bytes(captured::LINK_ADDED), &bytes(captured::LINK_REMOVED)], 0);
        assert_eq!(notices.affected.interfaces, [3], "told once");
        assert!(!notices.affected.all);
    }

    #[test]
    fn an_ipv6_route_that_the_kernel_deletes_affects_its_interface_and_one_that_a_process_deletes_is_gone() {
        let notices = routes_changed(&[&bytes(captured::ROUTE_IPV6_DROPPED)], 1);
        assert_eq!((notices.gone.len(), notices.taken.len()), (0, 0));
        assert_eq!(notices.affected.interfaces.len(), 1);
        let notices = routes_changed(&[&bytes(captured::ROUTE_IPV6_DELETED)], 1);
        let [gone] = notices.gone[..] else { panic!("{notices:?}") };
        assert_eq!((gone.protocol, gone.priority, gone.prefix_length), (42, 1024, 128));
        assert!(notices.affected.is_empty());
    }

    #[test]
    fn ipv6_routes_that_one_request_deletes_are_told_by_their_slot() {
        let notices = routes_changed(&[&bytes(captured::ROUTE_IPV6_SIBLINGS_DELETED)], 1);
        let [slot] = notices.taken[..] else { panic!("{notices:?}") };
        assert_eq!((slot.table, slot.prefix_length, slot.priority), (254, 128, 1024));
        assert_eq!(notices.gone, []);
    }

    #[test]
    fn an_ipv6_route_that_was_appended_takes_no_slot() {
        let taken = |text| routes_changed(&[&bytes(text)], 1).taken.len();
        assert_eq!((taken(captured::ROUTE_IPV6_ADDED), taken(captured::ROUTE_IPV6_APPENDED)), (1, 0));
    }

    #[test]
    fn an_ipv6_address_that_goes_affects_the_routes_with_it_and_no_route_of_its_interface_for_that() {
        let notices = routes_changed(&[&bytes(captured::ADDRESS_IPV6_REMOVED)], 1);
        let address: IpAddr = "2001:db8:1::11".parse().unwrap();
        assert_eq!((notices.affected.sources, notices.affected.interfaces), (vec![address], vec![]));
    }

    #[test]
    fn an_unreadable_or_lost_notice_affects_all_routes_and_the_readable_ones_beside_it_count() {
        let deleted = bytes(captured::ROUTE_DELETED);
        let cut = &deleted[..deleted.len() - 4];
        let overrun = message(NLMSG_OVERRUN, 0, &[]);
        // A message about a route with less than a header of its own.
        let unreadable = message(24, 0, &[2]);
        for rest in [cut, &overrun, &unreadable] {
            let notices = routes_changed(&[&[&deleted, rest].concat()], 0);
            assert!(notices.affected.all);
            assert_eq!(notices.gone.len(), 1);
        }
    }
}

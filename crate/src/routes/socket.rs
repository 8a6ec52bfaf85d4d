//! The kernel's routing tables over rtnetlink.
//!
//! Whether exactly one route of IPv4 is there is asked by adding it without NLM_F_CREATE, which changes nothing: `EEXIST` says
//! that it is, `ENOENT` that it is not (fib_table_insert). That costs as much as any request, whatever the size of the table.
//! Anything else, `ENETUNREACH` for a next hop that cannot be reached now for example, says nothing of the route.
//!
//! The IPv6 tables take that request for an addition (fib6_add_rt2node). There the route is asked for that a packet to the
//! destination would take: where that is the route, it is there, and anything else says nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::routes::answers::Answers;
use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, SystemError};
use crate::routes::listing::{ListedRoute, ListedTables, Listing, from_message, listed_route, slot_of};
use crate::routes::next_hop::ObjectRange;
use crate::routes::next_hop_request::{self, ToldObject};
use crate::routes::object_request::{ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::request::{Request, list_header};
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install};
use crate::system::netlink::enlarge_receive_buffer;

/// Requests per system call. The answers to a thousand do not fit into the socket's buffer and are lost.
const MOST_REQUESTS: usize = 128;

/// A dump that a change of the tables overtook is repeated so often before it is taken as it is.
pub(super) const DUMP_TRIES: usize = 5;

/// A connection to the kernel's routing tables.
pub struct RouteSocket {
    pub(super) socket: Socket,
    /// What the kernel calls the sender of our requests.
    port: u32,
    next_sequence: u32,
    /// The numbers that our next-hop objects have.
    objects: ObjectRange,
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl RouteSocket {
    /// Connects. Reading needs no privilege, changing needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// What the system says about a netlink socket.
    pub fn new() -> std::io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel handles a request inside of the call that sends it: what can be read is there at once.
        socket.set_non_blocking(true)?;
        socket.set_cap_ack(true)?;
        socket.set_netlink_get_strict_chk(true)?;
        enlarge_receive_buffer(&socket)?;
        Ok(Self { socket, port, next_sequence: 1, objects: ObjectRange::DEFAULT })
    }

    /// As this one, with other numbers for our next-hop objects.
    #[must_use]
    pub fn with_objects(self, objects: ObjectRange) -> Self {
        Self { objects, ..self }
    }

    /// The numbers that our next-hop objects have.
    #[must_use]
    pub fn objects(&self) -> ObjectRange {
        self.objects
    }

    /// What the kernel calls the sender of our requests, also in what it tells others of them.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Asks for what only a privileged process gets, and changes nothing.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_ADMIN in the user namespace that owns this network namespace.
    pub fn check_access(&mut self) -> Result<()> {
        // A route that does not exist: its table, its destination and its protocol number (255) are not in use.
        let nowhere = KernelRoute {
            table: u32::MAX - 1,
            destination: Ipv4Addr::BROADCAST.into(),
            prefix_length: 32,
            source: Ipv4Addr::UNSPECIFIED.into(),
            next_hop: Ipv4Addr::LOCALHOST.into(),
            interface: 0,
            protocol: u8::MAX,
            priority: u32::MAX,
            object: 0,
        };
        self.remove(&nowhere)
    }

    /// Installs a route by the rules for its slot, listing its table where nothing less tells who occupies it. A route of our
    /// kind and protocol number that it replaces is deleted afterwards.
    ///
    /// # Errors
    /// `Conflict`, `Unanswered` or what the system says.
    pub fn install(&mut self, wanted: DesiredRoute, take_over: bool) -> Result<()> {
        let mut outcomes = self.install_once(wanted, take_over);
        if outcomes.result == Err(RouteError::Occupied) {
            let listed = self.tables(&[wanted.route])?;
            outcomes = match listed.occupant_or(&wanted.route, wanted.replaces) {
                _ if listed.holds(&wanted.route) => RequestOutcome::seen(Presence::Present),
                Occupant::Foreign(protocol) => return Err(RouteError::Conflict(protocol)),
                Occupant::Ours(old) => {
                    let wanted = DesiredRoute { replaces: Some(old), was_listed: true, ..wanted };
                    self.install_once(wanted, take_over)
                }
                Occupant::Nobody | Occupant::Unknown => self.install_once(wanted, take_over),
            };
        }
        if let Some(replaced) = outcomes.replaced.filter(|_| outcomes.result.is_ok()) {
            self.remove(&replaced)?;
        }
        outcomes.result
    }

    fn install_once(&mut self, wanted: DesiredRoute, take_over: bool) -> RequestOutcome {
        install(self, &[wanted], take_over).remove(0)
    }

    /// Deletes a route; one that is not there counts as deleted.
    ///
    /// # Errors
    /// `Unanswered` or what the system says.
    pub fn remove(&mut self, route: &KernelRoute) -> Result<()> {
        match self.delete(std::slice::from_ref(route)).remove(0) {
            Err(RouteError::System(SystemError::NO_SUCH_ROUTE)) => Ok(()),
            answer => answer,
        }
    }

    /// As `remove`, also where the route hangs on a next-hop object of ours.
    ///
    /// # Errors
    /// As `remove`, and as `list`.
    pub fn remove_anyway(&mut self, route: &KernelRoute) -> Result<()> {
        match self.delete(std::slice::from_ref(route)).remove(0) {
            Err(RouteError::System(SystemError::NO_SUCH_ROUTE)) => {
                let held = self.tables(std::slice::from_ref(route))?.on_object(route);
                held.map_or(Ok(()), |held| self.remove(&held))
            }
            answer => answer,
        }
    }

    /// Whether exactly this route is there, its source included; asks for a listing where nothing less tells.
    ///
    /// # Errors
    /// As `list`.
    pub fn holds(&mut self, route: &KernelRoute) -> Result<bool> {
        match self.look(std::slice::from_ref(route))[..] {
            [Presence::Present] => Ok(true),
            [Presence::Absent] => Ok(false),
            _ => Ok(self.tables(std::slice::from_ref(route))?.holds(route)),
        }
    }

    /// The routes of a protocol number in all tables, as far as they are of the kind that is made here: unicast, TOS 0,
    /// through one gateway, without metrics or anything else. Of siblings only the first: the kernel does not show the protocol
    /// numbers of the others.
    ///
    /// # Errors
    /// `Unanswered` or what the system says.
    pub fn list(&mut self, protocol: u8) -> Result<Vec<KernelRoute>> {
        let mut routes = Vec::new();
        // A route on an object of another program is that program's, whatever its protocol number.
        let objects = self.objects;
        let is_ours =
            |route: &KernelRoute| route.protocol == protocol && (route.object == 0 || objects.contains(route.object));
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let listed = self.dump(&RouteHeader { protocol: protocol.into(), ..list_header(family) }, &[])?;
            routes.extend(listed.iter().filter_map(from_message).filter(is_ours));
        }
        Ok(routes)
    }

    /// What the tables of the given routes hold, of whatever kind.
    ///
    /// # Errors
    /// As `list`.
    pub fn tables(&mut self, of: &[KernelRoute]) -> Result<ListedTables> {
        let mut tables: Vec<(bool, u32)> = of.iter().map(|route| (route.is_ipv6(), route.table)).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut listed = ListedTables::new(self.objects);
        for (is_ipv6, table) in tables {
            let family = if is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
            for message in self.dump(&list_header(family), &[RouteAttribute::Table(table)])? {
                listed.take_in(&message);
            }
        }
        Ok(listed)
    }

    /// Sends one request per route, some at a time, and gives the kernel's answers.
    fn change(&mut self, routes: &[KernelRoute], request: impl Fn(&KernelRoute) -> Request) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(routes.len());
        for batch in routes.chunks(MOST_REQUESTS) {
            let first = self.next_sequence;
            let mut buffer = Vec::with_capacity(batch.len() * 80);
            for route in batch {
                request(route).append_to(&mut buffer, self.sequence());
            }
            match self.socket.send(&buffer, 0) {
                Ok(_) => answers.extend(self.acknowledgements(first, batch.len())),
                Err(error) => answers.extend(std::iter::repeat_n(Err(RouteError::from(error)), batch.len())),
            }
        }
        answers
    }

    fn change_object(&mut self, request: &ObjectRequest) -> ObjectAnswer {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        next_hop_request::append(request, sequence, &mut buffer);
        if let Err(error) = self.socket.send(&buffer, 0) {
            return ObjectAnswer::Failed(error.into());
        }
        let answer = self.acknowledgements(sequence, 1).remove(0);
        match (request.op, answer) {
            (_, Ok(())) | (ObjectOp::Delete, Err(RouteError::System(SystemError::NO_ENTRY))) => ObjectAnswer::Done,
            (ObjectOp::Add, Err(RouteError::System(SystemError::EXISTS))) => match self.object(request.id) {
                Some(told) if told.hop == Some(request.hop) => ObjectAnswer::WasThere,
                _ => ObjectAnswer::Taken,
            },
            (_, Err(error)) => ObjectAnswer::Failed(error),
        }
    }

    /// The next-hop object with a number, if there is one.
    pub(super) fn object(&mut self, id: u32) -> Option<ToldObject> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        next_hop_request::append_question(id, sequence, &mut buffer);
        self.socket.send(&buffer, 0).ok()?;
        let mut buffer = Vec::with_capacity(4096);
        self.socket.recv(&mut buffer, 0).ok()?;
        let mut found = None;
        next_hop_request::take_objects(&buffer, |told, _| found = Some(told).filter(|told| told.id == id));
        found
    }

    /// Whether the kernel has next-hop objects (Linux 5.3).
    ///
    /// # Errors
    /// What the system says about netlink.
    pub fn has_objects(&mut self) -> Result<bool> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        next_hop_request::append_question(ObjectRange::DEFAULT.last, sequence, &mut buffer);
        self.socket.send(&buffer, 0)?;
        // There is none of that number, or there is: a kernel without objects does not know the question.
        let mut buffer = Vec::with_capacity(4096);
        self.socket.recv(&mut buffer, 0)?;
        let mut answers = Answers::new(sequence, 1);
        let rest = next_hop_request::take_objects(&buffer, |_, _| {});
        answers.take_in(&rest);
        Ok(!matches!(answers.into_results()[..], [Err(RouteError::System(SystemError::NOT_SUPPORTED))]))
    }

    pub(super) fn sequence(&mut self) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    pub(super) fn acknowledgements(&mut self, first: u32, count: usize) -> Vec<Result<()>> {
        let mut answers = Answers::new(first, count);
        let mut buffer = Vec::with_capacity(4096);
        while answers.missing() > 0 {
            buffer.clear();
            if let Err(error) = self.socket.recv(&mut buffer, 0) {
                match error.raw_os_error() {
                    Some(libc::EINTR | libc::ENOBUFS) => continue,
                    _ => break,
                }
            }
            answers.take_in(&buffer);
        }
        answers.into_results()
    }

    /// The route that a packet to an address would take.
    fn best_match(&mut self, destination: IpAddr) -> Result<RouteMessage> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        Request::best_match(destination).append_to(&mut buffer, sequence);
        self.socket.send(&buffer, 0)?;
        let mut listed = Vec::new();
        let mut listing = Listing::new(sequence, &mut listed);
        let mut buffer = Vec::with_capacity(4096);
        while !listing.done {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            listing.take_in_one(&buffer);
        }
        listing.is_consistent()?;
        self.complete(&mut listed)?;
        listed.pop().ok_or(RouteError::Unanswered)
    }

    /// What a packet to the destination of a route would take, if that is in the slot of the route.
    fn matched(&mut self, route: &KernelRoute) -> Option<ListedRoute> {
        let matched = self.best_match(route.destination).ok()?;
        (slot_of(&matched) == Some(route.slot())).then(|| listed_route(&matched, self.objects))
    }

    fn look_ipv6(&mut self, route: &KernelRoute) -> Presence {
        let is_there = self.matched(route).is_some_and(|held| held.includes(route));
        if is_there { Presence::Present } else { Presence::Unknown }
    }

    fn dump(&mut self, header: &RouteHeader, attributes: &[RouteAttribute]) -> Result<Vec<RouteMessage>> {
        let mut listed = Vec::new();
        for _ in 0..DUMP_TRIES {
            listed.clear();
            if self.dump_once(header, attributes, &mut listed)? {
                break;
            }
        }
        // A kernel without IPv6 answers the question for its routes with those of all families.
        listed.retain(|message| message.header.address_family == header.address_family);
        self.complete(&mut listed)?;
        Ok(listed)
    }

    /// True where nothing changed while the kernel was listing.
    fn dump_once(
        &mut self,
        header: &RouteHeader,
        attributes: &[RouteAttribute],
        listed: &mut Vec<RouteMessage>,
    ) -> Result<bool> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        Request::dump(header, attributes).append_to(&mut buffer, sequence);
        self.socket.send(&buffer, 0)?;
        let mut listing = Listing::new(sequence, listed);
        let mut buffer = Vec::with_capacity(64 * 1024);
        while !listing.done {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            listing.take_in(&buffer);
        }
        listing.is_consistent()
    }
}

impl Tables for RouteSocket {
    fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        self.change(routes, |route| Request::add(route, NLM_F_CREATE | NLM_F_EXCL))
    }

    fn append(&mut self, route: &KernelRoute) -> Result<()> {
        self.change(std::slice::from_ref(route), |route| Request::add(route, NLM_F_CREATE | NLM_F_APPEND)).remove(0)
    }

    fn replace(&mut self, route: &KernelRoute) -> Result<()> {
        self.change(std::slice::from_ref(route), |route| Request::add(route, NLM_F_CREATE | NLM_F_REPLACE)).remove(0)
    }

    fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        self.change(routes, Request::delete)
    }

    fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence> {
        let of_ipv4: Vec<KernelRoute> = routes.iter().filter(|route| !route.is_ipv6()).copied().collect();
        let mut answers = self.change(&of_ipv4, |route| Request::add(route, 0)).into_iter();
        let mut look = |route: &KernelRoute| {
            if route.is_ipv6() {
                return self.look_ipv6(route);
            }
            match answers.next() {
                Some(Err(RouteError::System(SystemError::EXISTS))) => Presence::Present,
                Some(Err(RouteError::System(SystemError::NO_ENTRY))) => Presence::Absent,
                _ => Presence::Unknown,
            }
        };
        routes.iter().map(&mut look).collect()
    }

    fn change_objects(&mut self, requests: &[ObjectRequest]) -> Vec<ObjectAnswer> {
        // Each in a call of its own: within one the kernel does not let go of the core, however many routes go or move.
        requests.iter().map(|request| self.change_object(request)).collect()
    }

    /// Asks for the route that a packet to the destination would take (RTM_F_FIB_MATCH). That tells who occupies the slot
    /// where no other route fits that packet better.
    fn occupant(&mut self, route: &KernelRoute) -> Occupant {
        self.matched(route).map_or(Occupant::Unknown, |held| held.as_occupant(route))
    }
}

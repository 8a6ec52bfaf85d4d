//! The kernel's IPv4 routing tables over rtnetlink.
//!
//! Whether exactly one route is there is asked by adding it without NLM_F_CREATE, which changes nothing: `EEXIST` says that
//! it is, `ENOENT` that it is not (fib_table_insert). That costs as much as any request, whatever the size of the table.
//! Anything else, `ENETUNREACH` for a next hop that cannot be reached now for example, says nothing of the route.

use std::net::Ipv4Addr;
use std::num::NonZeroI32;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use rustc_hash::FxHashMap;

use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, Slot, SystemError};
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install};
use crate::system::netlink::each_message;

impl From<Errno> for SystemError {
    fn from(errno: Errno) -> Self {
        Self(errno as i32)
    }
}

impl From<std::io::Error> for RouteError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) | None => RouteError::Unanswered,
            Some(number) => RouteError::System(SystemError(number)),
        }
    }
}

/// Requests per system call. The answers to a thousand do not fit into the socket's buffer and are lost.
const MOST_REQUESTS: usize = 128;

const RECEIVE_BUFFER: usize = 4 << 20;

/// A dump that a change of the tables overtook is repeated so often before it is taken as it is.
const DUMP_TRIES: usize = 5;

/// A connection to the kernel's routing tables.
pub struct RouteSocket {
    socket: Socket,
    /// What the kernel calls the sender of our requests.
    port: u32,
    next_sequence: u32,
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
        Ok(Self { socket, port, next_sequence: 1 })
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
        // Nobody has a route to this address, in a table that nobody uses, of protocol "unspecified" and so of none.
        let nowhere = KernelRoute {
            table: u32::MAX - 1,
            destination: Ipv4Addr::BROADCAST,
            prefix_length: 32,
            source: Ipv4Addr::UNSPECIFIED,
            next_hop: Ipv4Addr::LOCALHOST,
            interface: 0,
            protocol: u8::MAX,
            priority: u32::MAX,
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
            outcomes = match self.tables(&[wanted.route])?.occupant(&wanted.route) {
                Occupant::Foreign(protocol) => return Err(RouteError::Conflict(protocol)),
                Occupant::Ours(old) => self.install_once(DesiredRoute { replaces: Some(old), ..wanted }, take_over),
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

    /// The routes of a protocol number in all tables, as far as they are of the kind that is made here: IPv4, unicast, TOS 0,
    /// through one gateway, without metrics or anything else.
    ///
    /// # Errors
    /// `Unanswered` or what the system says.
    pub fn list(&mut self, protocol: u8) -> Result<Vec<KernelRoute>> {
        let listed = self.dump(&RouteHeader { protocol: protocol.into(), ..list_header() }, &[])?;
        Ok(listed.iter().filter_map(from_message).filter(|route| route.protocol == protocol).collect())
    }

    /// What the tables of the given routes hold, of whatever kind.
    ///
    /// # Errors
    /// As `list`.
    pub fn tables(&mut self, of: &[KernelRoute]) -> Result<ListedTables> {
        let mut tables: Vec<u32> = of.iter().map(|route| route.table).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut listed = ListedTables::default();
        for table in tables {
            for message in self.dump(&list_header(), &[RouteAttribute::Table(table)])? {
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
                self.append_request(&mut buffer, request(route));
            }
            match self.socket.send(&buffer, 0) {
                Ok(_) => answers.extend(self.acknowledgements(first, batch.len())),
                Err(error) => answers.extend(std::iter::repeat_n(Err(RouteError::from(error)), batch.len())),
            }
        }
        answers
    }

    fn append_request(&mut self, buffer: &mut Vec<u8>, Request { flags, message }: Request) {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.next_sequence;
        self.next_sequence = self.next_sequence.wrapping_add(1);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let start = buffer.len();
        buffer.resize((start + message.buffer_len()).next_multiple_of(4), 0);
        message.serialize(&mut buffer[start..]);
    }

    fn acknowledgements(&mut self, first: u32, count: usize) -> Vec<Result<()>> {
        let mut answers = Answers::new(first, count);
        let mut buffer = Vec::with_capacity(4096);
        while answers.missing > 0 {
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
    fn best_match(&mut self, destination: Ipv4Addr) -> Result<RouteMessage> {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            destination_prefix_length: 32,
            flags: RouteFlags::LookupTable | RouteFlags::FibMatch,
            ..list_header()
        };
        message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet(destination))];
        let sequence = self.next_sequence;
        let mut buffer = Vec::new();
        self.append_request(&mut buffer, Request { flags: 0, message: RouteNetlinkMessage::GetRoute(message) });
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
        listed.pop().ok_or(RouteError::Unanswered)
    }

    fn dump(&mut self, header: &RouteHeader, attributes: &[RouteAttribute]) -> Result<Vec<RouteMessage>> {
        let mut listed = Vec::new();
        for _ in 0..DUMP_TRIES {
            listed.clear();
            if self.dump_once(header, attributes, &mut listed)? {
                break;
            }
        }
        Ok(listed)
    }

    /// True where nothing changed while the kernel was listing.
    fn dump_once(
        &mut self,
        header: &RouteHeader,
        attributes: &[RouteAttribute],
        listed: &mut Vec<RouteMessage>,
    ) -> Result<bool> {
        let mut message = RouteMessage::default();
        message.header = header.clone();
        message.attributes = attributes.to_vec();
        let sequence = self.next_sequence;
        let mut buffer = Vec::new();
        self.append_request(
            &mut buffer,
            Request { flags: NLM_F_DUMP, message: RouteNetlinkMessage::GetRoute(message) },
        );
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

/// The kernel's answers to a batch of requests, as they come in.
#[derive(Debug)]
pub struct Answers {
    first: u32,
    answers: Vec<Option<Result<()>>>,
    missing: usize,
}

impl Answers {
    /// To `count` requests with the sequence numbers from `first` on.
    #[must_use]
    pub fn new(first: u32, count: usize) -> Self {
        Self { first, answers: vec![None; count], missing: count }
    }

    /// How many requests have no answer yet.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Takes in what the kernel wrote. The first answer to a request counts; what answers something else is ignored.
    pub fn take_in(&mut self, buffer: &[u8]) {
        each_message(buffer, |message| {
            let at = message.header.sequence_number.wrapping_sub(self.first) as usize;
            if let (NetlinkPayload::Error(error), Some(answer @ None)) = (&message.payload, self.answers.get_mut(at)) {
                *answer = Some(error.code.map_or(Ok(()), |code| Err(RouteError::System(errno_of(code).into()))));
                self.missing -= 1;
            }
        });
    }

    /// One result per request, in their order.
    #[must_use]
    pub fn into_results(self) -> Vec<Result<()>> {
        self.answers.into_iter().map(|answer| answer.unwrap_or(Err(RouteError::Unanswered))).collect()
    }
}

/// One dump of the routing tables, as it comes in.
#[derive(Debug)]
pub struct Listing<'a> {
    sequence: u32,
    listed: &'a mut Vec<RouteMessage>,
    done: bool,
    /// Nothing changed while the kernel was listing.
    consistent: bool,
    failure: Option<Errno>,
}

impl<'a> Listing<'a> {
    /// Of the request with this sequence number, into this list.
    pub fn new(sequence: u32, listed: &'a mut Vec<RouteMessage>) -> Self {
        Self { sequence, listed, done: false, consistent: true, failure: None }
    }

    /// Takes in what the kernel wrote. Answers to something that was given up on earlier are ignored.
    pub fn take_in(&mut self, buffer: &[u8]) {
        each_message(buffer, |message| {
            if message.header.sequence_number != self.sequence || self.done {
                return;
            }
            self.consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => self.listed.push(route),
                NetlinkPayload::Done(_) => self.done = true,
                NetlinkPayload::Error(error) => {
                    self.done = true;
                    self.failure = error.code.map(errno_of);
                }
                _ => {}
            }
        });
    }

    /// Takes in the answer to a question for one route: the route, or an error.
    fn take_in_one(&mut self, buffer: &[u8]) {
        self.take_in(buffer);
        self.done |= !self.listed.is_empty();
    }

    /// Whether the list is of one moment.
    ///
    /// # Errors
    /// What the kernel said instead of a list.
    pub fn is_consistent(&self) -> Result<bool> {
        match self.failure {
            // The table that was asked for does not exist: it holds nothing.
            None | Some(Errno::ENOENT) => Ok(self.consistent),
            Some(errno) => Err(RouteError::System(errno.into())),
        }
    }
}

/// The kernel answers with the negative of an error number.
fn errno_of(code: NonZeroI32) -> Errno {
    Errno::from_raw(code.get().saturating_neg())
}

struct Request {
    flags: u16,
    message: RouteNetlinkMessage,
}

/// What a listing of tables holds.
#[derive(Debug, Default)]
pub struct ListedTables(FxHashMap<Slot, Vec<(u8, Option<KernelRoute>)>>);

impl ListedTables {
    fn take_in(&mut self, message: &RouteMessage) {
        if let Some(slot) = slot_of(message) {
            self.0.entry(slot).or_default().push((message.header.protocol.into(), from_message(message)));
        }
    }

    /// Whether exactly this route is there, its source included.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.0.get(&route.slot()).is_some_and(|held| held.iter().any(|(_, held)| *held == Some(*route)))
    }

    /// The first route in the slot of this one.
    #[must_use]
    pub fn occupant(&self, route: &KernelRoute) -> Occupant {
        match self.0.get(&route.slot()).and_then(|held| held.first()) {
            None => Occupant::Nobody,
            Some((_, Some(held))) if held.protocol == route.protocol => Occupant::Ours(*held),
            Some((protocol, _)) => Occupant::Foreign(*protocol),
        }
    }
}

/// The slot that a route of whatever kind occupies; none for a route of another TOS, which disturbs nobody here.
#[must_use]
pub fn slot_of(message: &RouteMessage) -> Option<Slot> {
    let header = &message.header;
    let mut slot = Slot {
        table: u32::from(header.table),
        destination: Ipv4Addr::UNSPECIFIED,
        prefix_length: header.destination_prefix_length,
        priority: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => slot.table = *table,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => slot.destination = *address,
            RouteAttribute::Priority(priority) => slot.priority = *priority,
            _ => {}
        }
    }
    (header.address_family == AddressFamily::Inet && header.tos == 0).then_some(slot)
}

/// A listed route, if it is of the kind that is made here: it has what such a route has, and nothing else.
#[must_use]
pub fn from_message(message: &RouteMessage) -> Option<KernelRoute> {
    let Slot { table, destination, prefix_length, priority } = slot_of(message)?;
    let (mut source, mut next_hop, mut interface) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => next_hop = *address,
            RouteAttribute::Oif(index) => interface = *index,
            RouteAttribute::Table(_)
            | RouteAttribute::Destination(_)
            | RouteAttribute::Priority(_)
            | RouteAttribute::CacheInfo(_) => {}
            _ => return None,
        }
    }
    let header = &message.header;
    let plain = header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Onlink);
    let protocol = header.protocol.into();
    (plain && !next_hop.is_unspecified() && interface != 0).then_some(KernelRoute {
        table,
        destination,
        prefix_length,
        source,
        next_hop,
        interface,
        protocol,
        priority,
    })
}

impl Tables for RouteSocket {
    fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        self.change(routes, |route| add_request(route, NLM_F_CREATE | NLM_F_EXCL))
    }

    fn append(&mut self, route: &KernelRoute) -> Result<()> {
        self.change(std::slice::from_ref(route), |route| add_request(route, NLM_F_CREATE | NLM_F_APPEND)).remove(0)
    }

    fn replace(&mut self, route: &KernelRoute) -> Result<()> {
        self.change(std::slice::from_ref(route), |route| add_request(route, NLM_F_CREATE | NLM_F_REPLACE)).remove(0)
    }

    fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        self.change(routes, delete_request)
    }

    fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence> {
        let answers = self.change(routes, |route| add_request(route, 0));
        let presence = |answer| match answer {
            Err(RouteError::System(SystemError::EXISTS)) => Presence::Present,
            Err(RouteError::System(SystemError::NO_ENTRY)) => Presence::Absent,
            _ => Presence::Unknown,
        };
        answers.into_iter().map(presence).collect()
    }

    /// Asks for the route that a packet to the destination would take (RTM_F_FIB_MATCH). That tells who occupies the slot
    /// where no other route fits that packet better.
    fn occupant(&mut self, route: &KernelRoute) -> Occupant {
        let Ok(matched) = self.best_match(route.destination) else { return Occupant::Unknown };
        if slot_of(&matched) != Some(route.slot()) {
            return Occupant::Unknown;
        }
        match from_message(&matched) {
            Some(held) if held.protocol == route.protocol => Occupant::Ours(held),
            _ => Occupant::Foreign(matched.header.protocol.into()),
        }
    }
}

/// `flags` say what is to be done where the slot is occupied, or, without NLM_F_CREATE, where it is not.
fn add_request(route: &KernelRoute, flags: u16) -> Request {
    let message = message(route, RouteScope::Universe);
    Request { flags: NLM_F_ACK | flags, message: RouteNetlinkMessage::NewRoute(message) }
}

fn delete_request(route: &KernelRoute) -> Request {
    // "Nowhere" is the kernel's word for any scope.
    Request { flags: NLM_F_ACK, message: RouteNetlinkMessage::DelRoute(message(route, RouteScope::NoWhere)) }
}

fn message(route: &KernelRoute, scope: RouteScope) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        destination_prefix_length: route.prefix_length,
        // A table beyond one byte stands in the attribute alone.
        table: u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
        protocol: route.protocol.into(),
        scope,
        kind: RouteType::Unicast,
        ..list_header()
    };
    message.attributes = vec![
        RouteAttribute::Table(route.table),
        RouteAttribute::Destination(RouteAddress::Inet(route.destination)),
        RouteAttribute::Gateway(RouteAddress::Inet(route.next_hop)),
    ];
    if route.interface != 0 {
        message.attributes.push(RouteAttribute::Oif(route.interface));
    }
    if !route.source.is_unspecified() {
        message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(route.source)));
    }
    if route.priority != 0 {
        message.attributes.push(RouteAttribute::Priority(route.priority));
    }
    message
}

fn list_header() -> RouteHeader {
    RouteHeader { address_family: AddressFamily::Inet, protocol: RouteProtocol::Unspec, ..RouteHeader::default() }
}

/// Makes the buffer that notices and answers wait in as large as is allowed.
///
/// # Errors
/// None that a socket is known to give.
pub fn enlarge_receive_buffer(socket: &Socket) -> std::io::Result<()> {
    // Beyond net.core.rmem_max with CAP_NET_ADMIN only.
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::ErrorMessage;

    use super::*;
    use crate::system::netlink::NETLINK_HEADER_LEN;
    use crate::system::netlink::captured;

    fn answer(sequence: u32, code: i32) -> Vec<u8> {
        let mut error = ErrorMessage::default();
        error.code = NonZeroI32::new(code);
        error.header = vec![0; NETLINK_HEADER_LEN];
        let mut header = NetlinkHeader::default();
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::<RouteNetlinkMessage>::new(header, NetlinkPayload::Error(error));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn captured_routes(text: &str) -> (Vec<Option<KernelRoute>>, Result<bool>) {
        let mut listed = Vec::new();
        let datagram = captured::bytes(text);
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram);
        let is_consistent = listing.is_consistent();
        (listed.iter().map(from_message).collect(), is_consistent)
    }

    #[test]
    fn only_a_plain_route_through_one_gateway_is_of_our_kind() {
        let (routes, _) = captured_routes(captured::ROUTE_ADDED);
        let [Some(route)] = routes[..] else { panic!("{routes:?}") };
        assert_eq!((route.destination, route.prefix_length), (Ipv4Addr::new(10, 9, 0, 7), 32));
        assert_eq!((route.next_hop, route.source), (Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!((route.table, route.protocol, route.priority), (254, 186, 0));
        for other in [captured::ROUTE_OTHER_TOS, captured::ROUTE_WITH_METRICS, captured::ROUTE_MULTIPATH] {
            assert_eq!(captured_routes(other).0, [None]);
        }
    }

    #[test]
    fn a_list_is_read_to_its_end_with_the_routes_of_a_slot_in_their_order() {
        let (routes, is_consistent) = captured_routes(captured::ROUTE_LIST);
        assert_eq!(is_consistent, Ok(true));
        let slot = Slot { table: 254, destination: Ipv4Addr::new(10, 9, 0, 7), prefix_length: 32, priority: 0 };
        let hops: Vec<u8> = routes
            .iter()
            .flatten()
            .filter(|route| route.slot() == slot)
            .map(|route| route.next_hop.octets()[3])
            .collect();
        // The prepended one was replaced by that of next hop 5, and ours was deleted.
        assert_eq!(hops, [5, 3]);
    }

    #[test]
    fn a_list_that_the_kernel_interrupted_is_not_of_one_moment_and_one_that_is_cut_off_has_no_end() {
        let mut datagram = captured::bytes(captured::ROUTE_LIST);
        let sequence = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
        datagram[6] |= NLM_F_DUMP_INTR as u8;
        let mut listed = Vec::new();
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram);
        assert_eq!(listing.is_consistent(), Ok(false));
        let mut listed = Vec::new();
        let mut listing = Listing::new(sequence, &mut listed);
        listing.take_in(&datagram[..datagram.len() - 8]);
        assert!(!listing.done);
        let mut listing = Listing::new(sequence + 1, &mut listed);
        listing.take_in(&datagram);
        assert!(!listing.done, "the answer to another question");
    }

    #[test]
    fn answers_are_matched_with_their_requests_whatever_their_order() {
        let mut answers = Answers::new(u32::MAX, 3);
        answers.take_in(&[answer(1, 0), answer(0, -libc::EEXIST)].concat());
        assert_eq!(answers.missing(), 1);
        let results = answers.into_results();
        assert_eq!(results, [Err(RouteError::Unanswered), Err(RouteError::System(SystemError::EXISTS)), Ok(())]);
    }

    #[test]
    fn a_request_that_is_answered_twice_counts_once_and_the_first_answer_holds() {
        let mut answers = Answers::new(7, 1);
        answers.take_in(&[answer(7, 0), answer(7, -libc::EPERM), answer(9, 0)].concat());
        assert_eq!(answers.missing(), 0);
        assert_eq!(answers.into_results(), [Ok(())]);
    }
}

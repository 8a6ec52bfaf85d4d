//! The kernel's IPv4 routing tables over rtnetlink: add, delete, list, by the rules for slots.
//!
//! A slot is (table, destination, priority). Ours never disturbs another's: an occupied slot is replaced only if
//! its route carries our protocol number, unless the caller takes over. Deletion names table, destination,
//! priority, protocol and next hop, so that it fits no route but ours.

use std::net::Ipv4Addr;
use std::num::NonZeroI32;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use thiserror::Error;

pub(crate) use crate::netlink::each_message;

/// Requests per system call. The answers to a thousand do not fit into the socket's buffer and are lost.
pub const MOST_REQUESTS: usize = 128;

const RECEIVE_BUFFER: usize = 4 << 20;

/// A dump that a change of the tables overtook is repeated so often before it is taken as it is.
const DUMP_TRIES: usize = 5;

/// One route as this component makes it: unicast, through one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KernelRoute {
    pub table: u32,
    pub destination: Ipv4Addr,
    pub prefix_length: u8,
    /// The preferred source address; unspecified where the kernel lists none.
    pub source: Ipv4Addr,
    pub next_hop: Ipv4Addr,
    pub protocol: u8,
    /// The metric; 0 is the kernel's default.
    pub priority: u32,
}

/// What a route occupies in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    table: u32,
    destination: Ipv4Addr,
    prefix_length: u8,
    priority: u32,
}

impl KernelRoute {
    #[must_use]
    pub fn slot(&self) -> Slot {
        let Self { table, destination, prefix_length, priority, .. } = *self;
        Slot { table, destination, prefix_length, priority }
    }

    /// Whether deleting the one would delete the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.slot(), self.protocol, self.next_hop) == (other.slot(), other.protocol, other.next_hop)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The slot holds a route of this protocol number.
    #[error("the slot is occupied by a route of protocol {0}")]
    Conflict(u8),
    #[error("{}", .0.desc())]
    System(Errno),
    /// The kernel's answer was lost.
    #[error("the kernel's answer was lost")]
    Unanswered,
}

impl From<std::io::Error> for RouteError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) | None => RouteError::Unanswered,
            Some(number) => RouteError::System(Errno::from_raw(number)),
        }
    }
}

pub type Result<T> = std::result::Result<T, RouteError>;

/// A connection to the kernel's routing tables.
pub struct RouteSocket {
    socket: Socket,
    /// What the kernel calls the sender of our requests.
    port: u32,
    next_sequence: u32,
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
        socket.set_rx_buf_sz(libc::c_int::try_from(RECEIVE_BUFFER).expect("fits"))?;
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
            protocol: u8::MAX,
            priority: u32::MAX,
        };
        self.delete(&[nowhere]).remove(0)
    }

    /// Adds routes, each by the rules for its slot; the answers come in the order of the routes.
    pub fn add(&mut self, routes: &[KernelRoute], take_over: bool) -> Vec<Result<()>> {
        let mut answers = self.change(routes, |route| add_request(route, NLM_F_EXCL));
        let occupied: Vec<usize> =
            (0..routes.len()).filter(|at| answers[*at] == Err(RouteError::System(Errno::EEXIST))).collect();
        if occupied.is_empty() {
            return answers;
        }
        let mut replaceable = Vec::with_capacity(occupied.len());
        let occupants = if take_over { Ok(Vec::new()) } else { self.occupants(&occupied, routes) };
        for at in occupied {
            match occupants.as_ref().map(|listed| listed.iter().find(|listed| same_slot(listed, &routes[at]))) {
                Ok(Some(occupant)) if occupant.protocol != routes[at].protocol => {
                    answers[at] = Err(RouteError::Conflict(occupant.protocol));
                }
                Ok(Some(_)) => replaceable.push(at),
                // Take over; otherwise the slot was vacated meanwhile, and the caller tries again.
                Ok(None) if take_over => replaceable.push(at),
                Ok(None) => {}
                Err(error) => answers[at] = Err(*error),
            }
        }
        let replacements: Vec<KernelRoute> = replaceable.iter().map(|at| routes[*at]).collect();
        let replaced = self.change(&replacements, |route| add_request(route, NLM_F_REPLACE));
        for (at, answer) in replaceable.into_iter().zip(replaced) {
            answers[at] = answer;
        }
        answers
    }

    /// Deletes routes; one that is not there counts as deleted. The answers come in the order of the routes.
    pub fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
        let mut answers = self.change(routes, delete_request);
        for answer in &mut answers {
            if *answer == Err(RouteError::System(Errno::ESRCH)) {
                *answer = Ok(());
            }
        }
        answers
    }

    /// The routes of a protocol number in all tables, as far as they are of the kind that `add` makes: IPv4,
    /// unicast, through one gateway.
    ///
    /// # Errors
    /// `Unanswered` or what the system says.
    pub fn list(&mut self, protocol: u8) -> Result<Vec<KernelRoute>> {
        let listed = self.dump(&RouteHeader { protocol: protocol.into(), ..list_header() }, &[])?;
        Ok(listed.iter().filter_map(from_message).filter(|route| route.protocol == protocol).collect())
    }

    /// Whether exactly this route is in the kernel.
    ///
    /// # Errors
    /// As `list`.
    pub fn holds(&mut self, route: &KernelRoute) -> Result<bool> {
        Ok(self.occupants(&[0], std::slice::from_ref(route))?.iter().any(|listed| {
            same_slot(listed, route) && listed.protocol == route.protocol && listed.next_hop == route.next_hop
        }))
    }

    /// What the tables of the given routes hold, of whatever kind.
    fn occupants(&mut self, at: &[usize], routes: &[KernelRoute]) -> Result<Vec<Occupant>> {
        let mut tables: Vec<u32> = at.iter().map(|at| routes[*at].table).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut occupants = Vec::new();
        for table in tables {
            let listed = self.dump(&list_header(), &[RouteAttribute::Table(table)])?;
            occupants.extend(listed.iter().map(Occupant::from_message));
        }
        Ok(occupants)
    }

    /// Sends one request per route, some at a time, and gives the kernel's answers.
    fn change(&mut self, routes: &[KernelRoute], request: impl Fn(&KernelRoute) -> Request) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(routes.len());
        for batch in routes.chunks(MOST_REQUESTS) {
            let first = self.next_sequence;
            let mut buffer = Vec::with_capacity(batch.len() * 80);
            for route in batch {
                self.append(&mut buffer, request(route));
            }
            match self.socket.send(&buffer, 0) {
                Ok(_) => answers.extend(self.acknowledgements(first, batch.len())),
                Err(error) => answers.extend(std::iter::repeat_n(Err(RouteError::from(error)), batch.len())),
            }
        }
        answers
    }

    fn append(&mut self, buffer: &mut Vec<u8>, Request { flags, message }: Request) {
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
        self.append(&mut buffer, Request { flags: NLM_F_DUMP, message: RouteNetlinkMessage::GetRoute(message) });
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
                *answer = Some(error.code.map_or(Ok(()), |code| Err(RouteError::System(errno_of(code)))));
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

    /// Whether the list is of one moment.
    ///
    /// # Errors
    /// What the kernel said instead of a list.
    pub fn is_consistent(&self) -> Result<bool> {
        match self.failure {
            // The table that was asked for does not exist: it holds nothing.
            None | Some(Errno::ENOENT) => Ok(self.consistent),
            Some(errno) => Err(RouteError::System(errno)),
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

/// What stands in a slot, of whatever kind.
struct Occupant {
    table: u32,
    destination: Ipv4Addr,
    prefix_length: u8,
    priority: u32,
    protocol: u8,
    next_hop: Ipv4Addr,
}

impl Occupant {
    fn from_message(message: &RouteMessage) -> Self {
        let mut occupant = Self {
            table: u32::from(message.header.table),
            destination: Ipv4Addr::UNSPECIFIED,
            prefix_length: message.header.destination_prefix_length,
            priority: 0,
            protocol: message.header.protocol.into(),
            next_hop: Ipv4Addr::UNSPECIFIED,
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(table) => occupant.table = *table,
                RouteAttribute::Destination(RouteAddress::Inet(address)) => occupant.destination = *address,
                RouteAttribute::Priority(priority) => occupant.priority = *priority,
                RouteAttribute::Gateway(RouteAddress::Inet(address)) => occupant.next_hop = *address,
                _ => {}
            }
        }
        occupant
    }
}

fn same_slot(occupant: &Occupant, route: &KernelRoute) -> bool {
    (occupant.table, occupant.destination, occupant.prefix_length, occupant.priority)
        == (route.table, route.destination, route.prefix_length, route.priority)
}

/// The slot that a route of whatever kind occupies.
#[must_use]
pub fn slot_of(message: &RouteMessage) -> Slot {
    let Occupant { table, destination, prefix_length, priority, .. } = Occupant::from_message(message);
    Slot { table, destination, prefix_length, priority }
}

/// A listed route, if it is of the kind that `add` makes.
#[must_use]
pub fn from_message(message: &RouteMessage) -> Option<KernelRoute> {
    let occupant = Occupant::from_message(message);
    let source = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    let ours = message.header.kind == RouteType::Unicast && !occupant.next_hop.is_unspecified();
    ours.then_some(KernelRoute {
        table: occupant.table,
        destination: occupant.destination,
        prefix_length: occupant.prefix_length,
        source: source.unwrap_or(Ipv4Addr::UNSPECIFIED),
        next_hop: occupant.next_hop,
        protocol: occupant.protocol,
        priority: occupant.priority,
    })
}

fn add_request(route: &KernelRoute, exclusive_or_replace: u16) -> Request {
    let mut message = message(route, RouteScope::Universe);
    message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(route.source)));
    Request { flags: NLM_F_ACK | NLM_F_CREATE | exclusive_or_replace, message: RouteNetlinkMessage::NewRoute(message) }
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
    if route.priority != 0 {
        message.attributes.push(RouteAttribute::Priority(route.priority));
    }
    message
}

fn list_header() -> RouteHeader {
    RouteHeader { address_family: AddressFamily::Inet, protocol: RouteProtocol::Unspec, ..RouteHeader::default() }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::ErrorMessage;

    use super::*;
    use crate::netlink::NETLINK_HEADER_LEN;

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

    #[test]
    fn answers_are_matched_with_their_requests_whatever_their_order() {
        let mut answers = Answers::new(u32::MAX, 3);
        answers.take_in(&[answer(1, 0), answer(0, -libc::EEXIST)].concat());
        assert_eq!(answers.missing(), 1);
        let results = answers.into_results();
        assert_eq!(results, [Err(RouteError::Unanswered), Err(RouteError::System(Errno::EEXIST)), Ok(())]);
    }

    #[test]
    fn a_request_that_is_answered_twice_counts_once_and_the_first_answer_holds() {
        let mut answers = Answers::new(7, 1);
        answers.take_in(&[answer(7, 0), answer(7, -libc::EPERM), answer(9, 0)].concat());
        assert_eq!(answers.missing(), 0);
        assert_eq!(answers.into_results(), [Ok(())]);
    }
}

//! A classic BPF program on the socket. While the socket overflows, it has the kernel drop whatever is not a packet of a peer,
//! so that the packets of peers find room.
//!
//! The program is attached during an overflow only: what it drops is counted as socket drops, without a reason. The kernel
//! does not tell these drops from those of a full socket, so a silent session gets its one extension during both.

use std::net::IpAddr;

use libc::sock_filter;

use crate::engine::stats::Stats;
use crate::net::socket_address::Family;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::liveness::packet::field;
use crate::protocol::time::Time;
use crate::system::packet_program::{drop_it, jump, keep, only_if, statement, unless};

/// Without a drop for so long, by the socket or by the program, the flood is over.
const QUIET_US: u64 = 1_000_000;

const LOG_INTERVAL_US: u64 = 5_000_000;

/// With more peers only the form of a packet is looked at: a program has 4096 instructions at most (linux/filter.h), and a
/// socket of an older kernel has room for fewer.
const MOST_PEERS: usize = 512;

/// What is to be done with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterChange {
    /// The program is to be attached.
    Attach,
    /// The program is to be detached.
    Detach,
}

/// Whether the program is attached, and what that was decided by.
#[derive(Debug, Default)]
pub(crate) struct SocketFilter {
    attached: bool,
    dropped_at: Option<Time>,
    warned_at: Option<Time>,
    counted: Counted,
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Handed to sessions.
    heard: u64,
    /// Packets that the program would have dropped.
    unwanted: u64,
}

impl SocketFilter {
    /// Whether the program is attached.
    #[must_use]
    pub(crate) fn is_attached(&self) -> bool {
        self.attached
    }

    /// Whether the overflow is logged at `now`: once in five seconds.
    pub(crate) fn is_worth_a_warning(&mut self, now: Time) -> bool {
        let is_worth_a_warning = self.warned_at.is_none_or(|at| now.since(at) >= LOG_INTERVAL_US);
        if is_worth_a_warning {
            self.warned_at = Some(now);
        }
        is_worth_a_warning
    }

    /// Decides at `now`, with whether the kernel has `dropped` datagrams since the last look.
    pub(crate) fn look(&mut self, now: Time, dropped: bool, stats: &Stats) -> Option<FilterChange> {
        if dropped {
            self.dropped_at = Some(now);
        } else if !self.attached {
            // The next overflow is decided on by what is read from now on, near enough.
            self.counted = Counted::of(stats);
            return None;
        }
        let quiet = self.dropped_at.is_none_or(|at| now.since(at) >= QUIET_US);
        if self.attached {
            self.attached = !quiet;
            return quiet.then_some(FilterChange::Detach);
        }
        let (before, counted) = (self.counted, Counted::of(stats));
        self.counted = counted;
        self.attached = counted.unwanted - before.unwanted > counted.heard - before.heard;
        self.attached.then_some(FilterChange::Attach)
    }
}

impl Counted {
    fn of(stats: &Stats) -> Self {
        let filtered = |invalid: &[u64; DropReason::COUNT]| -> u64 {
            [
                DropReason::Short,
                DropReason::Version,
                DropReason::Length,
                DropReason::DetectMult,
                DropReason::Discriminator,
                DropReason::Ttl,
            ]
            .map(|why| invalid[why as usize])
            .iter()
            .sum()
        };
        stats.iter().fold(Self::default(), |sum, (_, counters)| Self {
            heard: sum.heard + counters.rx,
            unwanted: sum.unwanted + counters.unknown_peer + filtered(&counters.rx_invalid),
        })
    }
}

/// What the packets of a protocol look like.
#[derive(Clone, Copy, Debug)]
pub struct PacketForm {
    /// The protocol version.
    pub version: u8,
    /// The least value of the length field.
    pub least_len: u8,
    /// The greatest value of the length field.
    pub most_len: u8,
}

/// What a program lets through: packets of a form, over one family of addresses, with at least this TTL or hop limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketFilter {
    pub(crate) form: PacketForm,
    pub(crate) family: Family,
    pub(crate) min_ttl: u8,
}

impl PacketFilter {
    /// A program that keeps well-formed packets of these peers; of anybody, where they are too many. IPv6 addresses are looked
    /// up folded to 32 bits: of strangers, one in four billions passes.
    #[must_use]
    pub(crate) fn by_peer(&self, peers: impl IntoIterator<Item = IpAddr>) -> Vec<sock_filter> {
        let of_family = peers.into_iter().filter(|peer| Family::of(*peer) == self.family);
        let mut peers: Vec<u32> = of_family.map(folded).collect();
        peers.sort_unstable();
        peers.dedup();
        if peers.len() > MOST_PEERS {
            return self.by_form();
        }
        let mut program = self.form();
        program.extend(self.load_source());
        program.extend(search(&peers));
        program
    }

    /// A program that keeps well-formed packets.
    #[must_use]
    pub(crate) fn by_form(&self) -> Vec<sock_filter> {
        let mut program = self.form();
        program.push(keep());
        program
    }

    /// Goes on with what the receive path takes for a packet.
    fn form(&self) -> Vec<sock_filter> {
        let PacketForm { version, least_len, most_len } = self.form;
        let byte = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
        let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0)];
        program.extend(only_if(libc::BPF_JGE, UDP_HEADER + u32::from(least_len)));
        program.push(statement(byte, payload(field::VERSION)));
        program.push(statement(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, field::VERSION_SHIFT));
        program.extend(only_if(libc::BPF_JEQ, version.into()));
        program.push(statement(byte, payload(field::LENGTH)));
        program.extend(only_if(libc::BPF_JGE, least_len.into()));
        program.extend(unless(libc::BPF_JGT, most_len.into()));
        // RFC 5880 §6.8.6: a zero multiplier or a zero discriminator is discarded.
        program.push(statement(byte, payload(field::DETECT_MULT)));
        program.extend(only_if(libc::BPF_JGT, 0));
        program.push(statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, payload(field::LOCAL_DISCR.start)));
        program.extend(only_if(libc::BPF_JGT, 0));
        // The network header stands at an offset of its own.
        program.push(statement(byte, NETWORK_HEADER + self.ttl_offset()));
        program.extend(only_if(libc::BPF_JGE, self.min_ttl.into()));
        program
    }

    /// RFC 791 §3.1: the TTL; RFC 8200 §3: the hop limit.
    fn ttl_offset(&self) -> u32 {
        match self.family {
            Family::V4 => 8,
            Family::V6 => 7,
        }
    }

    /// Loads the source address (RFC 791 §3.1, RFC 8200 §3), that of IPv6 as `folded` makes it.
    fn load_source(&self) -> Vec<sock_filter> {
        let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NETWORK_HEADER + offset);
        match self.family {
            Family::V4 => vec![load(12)],
            Family::V6 => {
                let mut program = vec![load(8)];
                for offset in [12, 16, 20] {
                    program.push(statement(libc::BPF_MISC | libc::BPF_TAX, 0));
                    program.push(load(offset));
                    program.push(statement(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0));
                }
                program
            }
        }
    }
}

/// An address in 32 bits: of IPv6, its four words combined by XOR.
fn folded(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

/// linux/filter.h: SKF_NET_OFF.
const NETWORK_HEADER: u32 = (-0x10_0000i32).cast_unsigned();

/// What a program sees first.
const UDP_HEADER: u32 = 8;

/// Where a byte of the packet stands.
const fn payload(offset: usize) -> u32 {
    UDP_HEADER + offset as u32
}

/// Looks a folded source up among sorted peers, by halves.
fn search(peers: &[u32]) -> Vec<sock_filter> {
    if peers.len() <= 4 {
        let mut program: Vec<sock_filter> =
            peers.iter().flat_map(|peer| [jump(libc::BPF_JEQ, *peer, 0, 1), keep()]).collect();
        program.push(drop_it());
        return program;
    }
    let middle = peers.len() / 2;
    let below = search(&peers[..middle]);
    // Only an unconditional jump is wide enough for the way over a half.
    let over = statement(libc::BPF_JMP | libc::BPF_JA, below.len() as u32);
    let mut program = vec![jump(libc::BPF_JGE, peers[middle], 0, 1), over];
    program.extend(below);
    program.extend(search(&peers[middle..]));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::LocalEndpoint;
    use crate::net::rx_socket::RxSocket;
    use crate::net::socket::bind;
    use crate::protocol::bfd::Bfd;
    use crate::protocol::liveness::Liveness;
    use crate::protocol::liveness::packet::{PACKET_LEN, VERSION};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};

    const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

    const LIVENESS: PacketForm =
        PacketForm { version: VERSION, least_len: PACKET_LEN as u8, most_len: PACKET_LEN as u8 };

    fn filter(min_ttl: u8) -> PacketFilter {
        PacketFilter { form: LIVENESS, family: Family::V4, min_ttl }
    }

    fn socket() -> RxSocket {
        bind::<Liveness>(SocketAddr::new(LOCALHOST.into(), 0), 1).unwrap().0
    }

    /// How many of these, sent from `source`, are there to be read.
    fn read_of(socket: &mut RxSocket, source: impl Into<IpAddr>, packets: &[&[u8]]) -> usize {
        let peer = StdSocket::bind((source.into(), 0)).unwrap();
        for packet in packets {
            peer.send_to(packet, socket.local_addr().unwrap()).unwrap();
        }
        socket.receive().unwrap()
    }

    fn packet(changes: &[(usize, u8)]) -> Vec<u8> {
        let mut bytes = vec![0x20, 0xC0, 3, 40, 0, 0, 0, 9];
        bytes.resize(PACKET_LEN, 0);
        for (at, value) in changes {
            bytes[*at] = *value;
        }
        bytes
    }

    #[test]
    fn well_formed_packets_pass_the_filter_and_others_do_not() {
        let mut socket = socket();
        socket.filter(&filter(0).by_form()).unwrap();
        let longer = [packet(&[]), vec![7; 60]].concat();
        let good =
            [packet(&[]), packet(&[(0, 0x3F)]), longer, packet(&[(4, 1), (7, 0)]), packet(&[(4, 0xFF), (2, 255)])];
        let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
        assert_eq!(read_of(&mut socket, LOCALHOST, &good), good.len());
        let bad =
            [packet(&[(0, 0x40)]), packet(&[(3, 39)]), packet(&[(2, 0)]), packet(&[(7, 0)]), vec![], vec![0x20; 39]];
        let bad: Vec<&[u8]> = bad.iter().map(Vec::as_slice).collect();
        let before = socket.drops();
        assert_eq!(read_of(&mut socket, LOCALHOST, &bad), 0);
        assert_eq!(socket.drops() - before, bad.len() as u32, "counted as what a full socket drops");
        socket.filter_nothing().unwrap();
        assert_eq!(read_of(&mut socket, LOCALHOST, &bad), bad.len());
    }

    #[test]
    fn packets_below_the_least_ttl_do_not_pass_the_filter() {
        let mut socket = socket();
        for (least, ttl, heard) in [(0, 1, 1), (255, 254, 0), (255, 255, 1), (64, 64, 1), (64, 63, 0)] {
            socket.filter(&filter(least).by_form()).unwrap();
            let peer = StdSocket::bind((LOCALHOST, 0)).unwrap();
            peer.set_ttl(ttl).unwrap();
            peer.send_to(&packet(&[]), socket.local_addr().unwrap()).unwrap();
            assert_eq!(socket.receive().unwrap(), heard, "{ttl} where {least} is the least");
        }
    }

    #[test]
    fn packets_of_every_peer_pass_and_those_of_others_do_not_up_to_the_most_peers() {
        let address = |number: usize| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 9, 0, 0)) + 2 * number as u32);
        for count in [0, 1, 4, 5, 9, 64, 257, MOST_PEERS, MOST_PEERS + 1] {
            let mut socket = socket();
            let peers: Vec<Ipv4Addr> = (1..=count).map(address).collect();
            socket.filter(&filter(0).by_peer(peers.iter().copied().map(IpAddr::V4))).unwrap();
            for peer in peers {
                assert_eq!(read_of(&mut socket, peer, &[&packet(&[])]), 1, "{peer} of {count}");
            }
            let strangers = [0, 1, 2, count / 2, count].map(|number| Ipv4Addr::from(u32::from(address(number)) + 1));
            for stranger in strangers {
                let heard = read_of(&mut socket, stranger, &[&packet(&[])]);
                assert_eq!(heard, usize::from(count > MOST_PEERS), "{stranger} beside {count}");
            }
        }
    }

    #[test]
    fn over_ipv6_packets_of_peers_pass_by_source_and_hop_limit() {
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
        let mut socket = bind::<Bfd>(address, 1).unwrap().0;
        let form = PacketForm { version: 1, least_len: 24, most_len: 255 };
        let bfd = |length: u8| [&[0x20, 0xC0, 3, length, 0, 0, 0, 9], &[0; 247][..]].concat();
        let (peer, other) = (Ipv6Addr::LOCALHOST, "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        // The default hop limit is 64.
        for (peers, min_ttl, length, passes) in [
            (vec![peer], 0, 24, true),
            (vec![other, peer], 64, 52, true),
            (vec![peer], 65, 24, false),
            (vec![other], 0, 24, false),
            (vec![peer], 0, 23, false),
            (vec![peer], 0, 255, true),
        ] {
            let filter = PacketFilter { form, family: Family::V6, min_ttl };
            socket.filter(&filter.by_peer(peers.iter().copied().map(IpAddr::V6))).unwrap();
            let heard = read_of(&mut socket, peer, &[&bfd(length)]);
            assert_eq!(heard, usize::from(passes), "{peers:?} {min_ttl} {length}");
        }
    }

    #[test]
    fn the_filter_is_attached_when_unwanted_packets_overflow_the_socket_and_detached_after_a_quiet_second() {
        let (mut stats, mut socket_filter) = (Stats::default(), SocketFilter::default());
        let endpoint = stats.endpoint(LocalEndpoint::OTHER);
        let at = |ms: u64| Time::from_micros(1_000_000 + ms * 1_000);
        stats.at(endpoint).unknown_peer = 1_000;
        assert_eq!(socket_filter.look(at(0), false, &stats), None, "a flood that is read in time");
        stats.at(endpoint).rx = 100;
        stats.at(endpoint).rx_invalid[DropReason::ForeignDiscriminator as usize] = 100;
        assert_eq!(socket_filter.look(at(100), true, &stats), None, "too much of what it would let through");
        stats.at(endpoint).rx = 120;
        stats.at(endpoint).rx_invalid[DropReason::Version as usize] = 30;
        assert_eq!(socket_filter.look(at(200), true, &stats), Some(FilterChange::Attach));
        assert_eq!([200, 5_199, 5_200].map(|ms| socket_filter.is_worth_a_warning(at(ms))), [true, false, true]);
        assert_eq!(socket_filter.look(at(300), true, &stats), None, "it is what drops now");
        assert_eq!(socket_filter.look(at(1_299), false, &stats), None);
        assert_eq!(socket_filter.look(at(1_300), false, &stats), Some(FilterChange::Detach));
        assert_eq!(socket_filter.look(at(1_400), false, &stats), None);
    }
}

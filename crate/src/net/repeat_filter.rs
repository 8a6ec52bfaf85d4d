//! The filter in the kernel that takes in repeats (`engine::repeats`): a BPF program on the sockets, and the memory that it
//! shares with the engine. What it does not know it hands over.

use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;

use memmap2::{MmapOptions, MmapRaw};

use crate::engine::repeats::{Place, Repeats, SharedPlaces, WAYS};
use crate::net::rx_socket::RxSocket;
use crate::net::socket_address::Family;
use crate::system::bpf::{self, If, Program, Register, Width};

/// The programs, one for each family, and the memory that they share with the engine.
pub(crate) struct RepeatFilter {
    v4: OwnedFd,
    v6: OwnedFd,
    memory: Memory,
}

impl RepeatFilter {
    /// For so many sessions, whose packets have so many bytes; the engine's side of it, too.
    ///
    /// # Errors
    /// What the system says: `EPERM` without CAP_BPF, `EINVAL` where the kernel cannot do it.
    pub(crate) fn new(sessions: usize, packet_len: usize) -> io::Result<(Self, Repeats)> {
        let count = Repeats::places_for(sessions);
        let map = bpf::create_array(size_of::<Place>(), count)?;
        let memory = || Memory::of(&map, count);
        let program = |family| program(&map, count, packet_len, family).load_for_socket();
        let filter = Self { v4: program(Family::V4)?, v6: program(Family::V6)?, memory: memory()? };
        Ok((filter, Repeats::new(Box::new(memory()?), clock_offset_ns()?)))
    }

    /// Has a socket ask the filter, in place of another one.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn attach(&self, socket: &RxSocket) -> nix::Result<()> {
        let program = match socket.family() {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        bpf::attach(socket, program)
    }

    /// How many repeats were taken in so far, of all sockets. The kernel counts them as dropped.
    pub(crate) fn taken_in(&self) -> u64 {
        self.memory.places()[0].total.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// The map, as the process sees it.
struct Memory {
    mapping: MmapRaw,
    count: usize,
}

impl Memory {
    fn of(map: &OwnedFd, count: usize) -> io::Result<Self> {
        let mapping = MmapOptions::new().len(count * size_of::<Place>()).map_raw(map)?;
        Ok(Self { mapping, count })
    }
}

impl SharedPlaces for Memory {
    fn places(&self) -> &[Place] {
        // SAFETY: the mapping has so many places, begins at a page, and stays as long as this does. All bytes are valid in each
        // field, and all fields that the program or another mapping changes are atomic.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr().cast::<Place>(), self.count) }
    }
}

/// What this process's monotonic clock is ahead of the kernel's, in nanoseconds (time_namespaces(7)).
fn clock_offset_ns() -> io::Result<i64> {
    let offsets = match std::fs::read_to_string("/proc/self/timens_offsets") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        offsets => offsets?,
    };
    Ok(offset_ns(&offsets).ok_or(io::ErrorKind::InvalidData)?)
}

/// The offset of CLOCK_MONOTONIC in nanoseconds.
fn offset_ns(offsets: &str) -> Option<i64> {
    let mut words = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let mut number = || words.next()?.parse::<i64>().ok();
    number()?.checked_mul(1_000_000_000)?.checked_add(number()?)
}

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const R3: Register = Register(3);
const R4: Register = Register(4);
const R5: Register = Register(5);
const PACKET: Register = Register(6);
const PLACE: Register = Register(7);
const DISCR: Register = Register(9);
const STACK_END: Register = Register(10);

/// Where things are on the stack.
const PAYLOAD: i16 = -40;
const NETWORK_HEADER: i16 = -80;
const KEY: i16 = -88;

/// Functions of the kernel (linux/bpf.h).
const MAP_LOOKUP: i32 = 1;
const MONOTONIC_NS: i32 = 5;
const LOAD_BYTES: i32 = 26;
const LOAD_BYTES_RELATIVE: i32 = 68;
/// BPF_HDR_START_NET.
const FROM_NETWORK_HEADER: i32 = 1;

/// Fields of `__sk_buff`.
const SKB_LEN: i16 = 0;
const SKB_IFINDEX: i16 = 40;

/// The program sees the UDP header first.
const UDP_HEADER: i32 = 8;

/// Where the fields of an IP header stand (RFC 791 §3.1, RFC 8200 §3).
struct IpHeader {
    len: i32,
    ttl: i16,
    source: i16,
    local: i16,
    address_words: i16,
}

const fn ip_header(family: Family) -> IpHeader {
    match family {
        Family::V4 => IpHeader { len: 20, ttl: 8, source: 12, local: 16, address_words: 1 },
        Family::V6 => IpHeader { len: 40, ttl: 7, source: 8, local: 24, address_words: 4 },
    }
}

/// The program: hands over whatever is no repeat; notes and drops what is one.
fn program(map: &OwnedFd, count: usize, packet_len: usize, family: Family) -> Program {
    let field = |offset: usize| i16::try_from(offset).expect("a place is small");
    let ip = ip_header(family);
    let mut program = Program::default();
    let p = &mut program;
    let hand_over = p.label();
    p.copy(PACKET, R1);
    p.load(Width::Word, R2, PACKET, SKB_LEN);
    p.jump_if_value(If::NotEqual, R2, UDP_HEADER + narrow(packet_len), hand_over);
    p.copy(R1, PACKET);
    p.set(R2, UDP_HEADER);
    point(p, R3, PAYLOAD);
    p.set(R4, narrow(packet_len));
    p.call(LOAD_BYTES);
    p.jump_if_value(If::NotEqual, R0, 0, hand_over);

    // The place of the session that the packet names.
    p.load(Width::Word, DISCR, STACK_END, PAYLOAD + 8);
    let found = p.label();
    for way in 0..WAYS {
        let next = p.label();
        p.copy(R2, DISCR);
        p.add(R2, narrow(way));
        p.mask(R2, narrow(count - 1));
        look_up(p, map);
        p.jump_if_value(If::Equal, R0, 0, hand_over);
        p.load(Width::Word, R1, R0, field(offset_of!(Place, image)) + 8);
        p.jump_if(If::NotEqual, R1, DISCR, next);
        p.load(Width::Word, R1, R0, field(offset_of!(Place, is_armed)));
        p.jump_if_value(If::NotEqual, R1, 0, found);
        p.here(next);
    }
    p.jump(hand_over);
    p.here(found);
    p.copy(PLACE, R0);

    // Whether it is the packet that came before, …
    for at in (0..packet_len).step_by(8) {
        p.load(Width::Double, R1, STACK_END, PAYLOAD + field(at));
        p.load(Width::Double, R2, PLACE, field(offset_of!(Place, image) + at));
        p.jump_if(If::NotEqual, R1, R2, hand_over);
    }
    // … and came the same way.
    let any_interface = p.label();
    p.load(Width::Word, R1, PLACE, field(offset_of!(Place, ifindex)));
    p.jump_if_value(If::Equal, R1, 0, any_interface);
    p.load(Width::Word, R2, PACKET, SKB_IFINDEX);
    p.jump_if(If::NotEqual, R1, R2, hand_over);
    p.here(any_interface);
    p.copy(R1, PACKET);
    p.set(R2, 0);
    point(p, R3, NETWORK_HEADER);
    p.set(R4, ip.len);
    p.set(R5, FROM_NETWORK_HEADER);
    p.call(LOAD_BYTES_RELATIVE);
    p.jump_if_value(If::NotEqual, R0, 0, hand_over);
    p.load(Width::Byte, R1, STACK_END, NETWORK_HEADER + ip.ttl);
    p.load(Width::Word, R2, PLACE, field(offset_of!(Place, min_ttl)));
    p.jump_if(If::Less, R1, R2, hand_over);
    for (first, rest, told) in [
        (offset_of!(Place, source), offset_of!(Place, source_rest), ip.source),
        (offset_of!(Place, local), offset_of!(Place, local_rest), ip.local),
    ] {
        for word in 0..ip.address_words {
            let known = if word == 0 { field(first) } else { field(rest) + 4 * (word - 1) };
            p.load(Width::Word, R1, STACK_END, NETWORK_HEADER + told + 4 * word);
            p.load(Width::Word, R2, PLACE, known);
            p.jump_if(If::NotEqual, R1, R2, hand_over);
        }
    }

    let is_noted = p.label();
    p.call(MONOTONIC_NS);
    p.load(Width::Double, R1, PLACE, field(offset_of!(Place, heard_ns)));
    p.store(Width::Double, PLACE, field(offset_of!(Place, heard_ns)), R0);
    p.jump_if(If::AtMost, R0, R1, is_noted);
    p.subtract(R0, R1);
    p.load(Width::Double, R2, PLACE, field(offset_of!(Place, worst_gap_ns)));
    p.jump_if(If::AtMost, R0, R2, is_noted);
    p.store(Width::Double, PLACE, field(offset_of!(Place, worst_gap_ns)), R0);
    p.here(is_noted);
    p.set(R1, 1);
    p.add_in_memory(PLACE, field(offset_of!(Place, count)), R1);
    let drop_it = p.label();
    p.set(R2, 0);
    look_up(p, map);
    p.jump_if_value(If::Equal, R0, 0, drop_it);
    p.set(R1, 1);
    p.add_in_memory(R0, field(offset_of!(Place, total)), R1);
    p.here(drop_it);
    p.set(R0, 0);
    p.exit();

    p.here(hand_over);
    p.set(R0, -1);
    p.exit();
    program
}

fn narrow(number: usize) -> i32 {
    i32::try_from(number).expect("lengths and counts are small")
}

/// Points a register to something on the stack.
fn point(program: &mut Program, register: Register, to: i16) {
    program.copy(register, STACK_END);
    program.add(register, to.into());
}

/// Looks up the place whose number R2 has.
fn look_up(program: &mut Program, map: &OwnedFd) {
    program.store(Width::Word, STACK_END, KEY, R2);
    program.load_map(R1, map);
    point(program, R2, KEY);
    program.call(MAP_LOOKUP);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

    use nix::unistd::geteuid;

    use super::*;
    use crate::engine::repeats::Repeatable;
    use crate::net::socket::bind_receiver;
    use crate::protocol::Protocol;
    use crate::protocol::bfd::Bfd;
    use crate::protocol::header_fields::PEER_DISCR;
    use crate::protocol::liveness::Liveness;
    use crate::system::clock;

    const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    const SLOT: u32 = 3;

    /// A socket with a filter, and a peer that sends to it.
    struct Rig {
        filter: RepeatFilter,
        repeats: Repeats,
        socket: RxSocket,
        peer: UdpSocket,
        packet: Vec<u8>,
        ifindex: u32,
    }

    impl Rig {
        /// `None` without the privilege to have a filter.
        fn new<P: Protocol>(address: IpAddr) -> Option<Self> {
            let (filter, repeats) = match RepeatFilter::new(8, P::PLAIN_LEN) {
                Err(error) if !geteuid().is_root() => {
                    eprintln!("without the privilege: {error}");
                    return None;
                }
                made => made.expect("root may have a filter"),
            };
            let socket = bind_receiver::<P>(SocketAddr::new(address, 0), 1).unwrap();
            socket.tell_ttl().unwrap();
            filter.attach(&socket).unwrap();
            let peer = UdpSocket::bind((address, 0)).unwrap();
            let packet: Vec<u8> = (1..=P::PLAIN_LEN as u8).collect();
            let mut rig = Self { filter, repeats, socket, peer, packet, ifindex: 0 };
            assert_eq!(rig.send(&rig.packet.clone()), 1, "nothing repeats yet");
            rig.ifindex = rig.socket.received().next().unwrap().ifindex;
            Some(rig)
        }

        fn each() -> impl Iterator<Item = Self> {
            let of = [Self::new::<Bfd> as fn(IpAddr) -> Option<Self>, Self::new::<Liveness>];
            of.into_iter().flat_map(|new| FAMILIES.into_iter().filter_map(new))
        }

        /// Sends, and gives how many datagrams are handed over.
        fn send(&mut self, bytes: &[u8]) -> usize {
            self.peer.send_to(bytes, self.socket.local_addr().unwrap()).unwrap();
            self.socket.receive().unwrap()
        }

        fn send_packet(&mut self) -> usize {
            self.send(&self.packet.clone())
        }

        fn arm(&mut self, change: impl FnOnce(&mut Repeatable<'_>)) {
            let ip = self.socket.local_addr().unwrap().ip();
            let mut packet = Repeatable {
                bytes: &self.packet,
                source: ip,
                local: ip,
                ifindex: self.ifindex,
                min_ttl: 0,
                arrival: clock::now(),
            };
            change(&mut packet);
            self.repeats.arm(SLOT, &packet);
        }
    }

    #[test]
    fn a_repeat_is_taken_in_with_the_time_of_its_arrival_and_the_longest_gap() {
        for mut rig in Rig::each() {
            rig.arm(|_| {});
            let began = clock::now();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let before = clock::now();
            assert_eq!(rig.send_packet(), 0);
            let after = clock::now();
            let heard = rig.repeats.take(SLOT).unwrap();
            assert_eq!((heard.count, rig.filter.taken_in()), (1, 1));
            assert!(heard.at >= before.minus(1) && heard.at <= after, "{before:?} {heard:?} {after:?}");
            assert!(heard.worst_gap_us >= before.since(began), "{heard:?}");
            assert_eq!(rig.send_packet(), 0);
            let again = rig.repeats.take(SLOT).unwrap();
            assert_eq!((again.count, rig.filter.taken_in()), (1, 2));
            assert!(again.at > heard.at && again.worst_gap_us >= heard.worst_gap_us);
        }
    }

    #[test]
    fn a_datagram_of_which_any_bit_or_the_length_differs_is_handed_over() {
        for mut rig in Rig::each() {
            rig.arm(|_| {});
            for bit in 0..8 * rig.packet.len() {
                rig.packet[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(rig.send_packet(), 1, "bit {bit}");
                rig.packet[bit / 8] ^= 1 << (bit % 8);
            }
            let packet = rig.packet.clone();
            for length in [0, 1, 8, packet.len() - 1] {
                assert_eq!(rig.send(&packet[..length]), 1, "{length} bytes");
            }
            assert_eq!(rig.send(&[&packet[..], &[0]].concat()), 1);
            assert_eq!(rig.send(&[&packet[..], &packet].concat()), 1);
            assert_eq!((rig.send_packet(), rig.filter.taken_in()), (0, 1));
        }
    }

    #[test]
    fn a_packet_that_came_another_way_is_handed_over() {
        for mut rig in Rig::each() {
            let other: IpAddr = match rig.socket.family() {
                Family::V4 => "127.0.0.2".parse().unwrap(),
                // The words of this address and of the other differ in the last, the first, and the third.
                Family::V6 => "::2".parse().unwrap(),
            };
            rig.arm(|packet| packet.source = other);
            assert_eq!(rig.send_packet(), 1);
            rig.arm(|packet| packet.local = other);
            assert_eq!(rig.send_packet(), 1);
            if rig.socket.family() == Family::V6 {
                for elsewhere in ["8000::1", "0:0:1::1", "::1:0:1"].map(|text| text.parse().unwrap()) {
                    rig.arm(|packet| packet.source = elsewhere);
                    assert_eq!(rig.send_packet(), 1, "{elsewhere}");
                    rig.arm(|packet| packet.local = elsewhere);
                    assert_eq!(rig.send_packet(), 1, "{elsewhere}");
                }
            }
            let ifindex = rig.ifindex;
            rig.arm(|packet| packet.ifindex = ifindex + 1);
            assert_eq!(rig.send_packet(), 1);
            rig.arm(|packet| packet.ifindex = 0);
            assert_eq!(rig.send_packet(), 0, "any interface");
            // The default TTL and hop limit are 64.
            rig.arm(|packet| packet.min_ttl = 65);
            assert_eq!(rig.send_packet(), 1);
            rig.arm(|packet| packet.min_ttl = 64);
            assert_eq!(rig.send_packet(), 0);
        }
    }

    #[test]
    fn a_session_that_is_disarmed_is_handed_every_packet_and_one_that_is_armed_with_another_packet_all_but_that() {
        for mut rig in Rig::each() {
            rig.arm(|_| {});
            assert_eq!(rig.send_packet(), 0);
            rig.repeats.disarm(SLOT);
            assert_eq!(rig.send_packet(), 1);
            assert_eq!(rig.repeats.take(SLOT), None);
            let previous = rig.packet.clone();
            rig.packet[2] += 1;
            rig.arm(|_| {});
            assert_eq!((rig.send_packet(), rig.send(&previous)), (0, 1));
            assert_eq!(rig.repeats.take(SLOT).unwrap().count, 1, "what came before counts no more");
        }
    }

    #[test]
    fn sessions_whose_discriminators_name_one_place_have_a_place_each_as_long_as_there_are_some() {
        for mut rig in Rig::each() {
            let places = Repeats::places_for(8) as u8;
            let ip = rig.socket.local_addr().unwrap().ip();
            let packets: Vec<Vec<u8>> = (0..=WAYS as u8)
                .map(|number| {
                    let mut packet = rig.packet.clone();
                    // The low bits are those of the first byte.
                    packet[PEER_DISCR.start] = 5 & (places - 1);
                    packet[PEER_DISCR.start + 1] = number;
                    packet
                })
                .collect();
            for (bytes, slot) in packets.iter().zip(0..) {
                let (ifindex, arrival) = (rig.ifindex, clock::now());
                let packet = Repeatable { bytes, source: ip, local: ip, ifindex, min_ttl: 0, arrival };
                rig.repeats.arm(slot, &packet);
            }
            for (bytes, at) in packets.iter().zip(0..) {
                assert_eq!(rig.send(bytes), usize::from(at == WAYS), "{at}");
            }
        }
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        assert_eq!(offset_ns("monotonic           0         0\nboottime            0         0\n"), Some(0));
        assert_eq!(offset_ns("monotonic          -3 500000000\nboottime  7 0\n"), Some(-2_500_000_000));
        assert_eq!(offset_ns("boottime 7 0\n"), None);
    }
}

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
        Ok((filter, Repeats::new(Box::new(memory()?), clock_ahead_ns()?)))
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

/// What the kernel's monotonic clock is ahead of this process's, in nanoseconds (time_namespaces(7)).
fn clock_ahead_ns() -> io::Result<i64> {
    let offsets = match std::fs::read_to_string("/proc/self/timens_offsets") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        offsets => offsets?,
    };
    Ok(-offset_ns(&offsets).ok_or(io::ErrorKind::InvalidData)?)
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

//! Forwards Ethernet frames between two interfaces of its network namespace, and impairs liveness packets (UDP to port
//! 44880): it loses, damages, duplicates and delays them, as a seeded generator decides for each packet. Packets with
//! different delays overtake each other.
//!
//! `relay '{"interfaces":["m1","m2"],"seed":7,"seconds":60,"delayMs":40,"jitterMs":30,"duplicate":20}'`
//!
//! Prints its settings, including the seed, then forwards. For the line `counts` it prints its counters; any other line of
//! input ends the impairment. The relay ends with its input or after its time, and prints its counters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, stdin};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, bind, recvfrom, send, socket,
};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::jitter::Xorshift32;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::time::Time;
use route_liveness::system::clock;
use serde::{Deserialize, Serialize};

const MAX_FRAME: usize = 65_536;
const ETHERNET_HEADER: usize = 14;
const UDP_HEADER: usize = 8;

/// The most frames that wait. A full queue drops the newest.
const MOST_WAITING: usize = 100_000;

/// The longest time that a relay runs, in seconds.
const LONGEST_S: u64 = 24 * 3_600;

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Setup {
    interfaces: [String; 2],
    seed: u32,
    seconds: u64,
    ways: Ways,
    delay_ms: u64,
    /// Uniform, from minus to plus this much.
    jitter_ms: u64,
    /// A percentage of the packets, as the two below.
    duplicate: u64,
    damage: u64,
    lose: u64,
    /// The first and the last byte of the payload that may be damaged.
    damaged_bytes: [usize; 2],
    /// A damaged packet gets a valid checksum, so that the kernel of the receiver accepts it.
    mend_checksum: bool,
    /// The most consecutive packets in one direction that are lost or damaged.
    in_a_row: u64,
}

/// So much later than due, in microseconds, a frame counts as late.
const LATE_US: u64 = 25_000;

impl Default for Setup {
    fn default() -> Self {
        Self {
            interfaces: ["m1".into(), "m2".into()],
            seed: 1,
            seconds: 60,
            ways: Ways::Both,
            delay_ms: 0,
            jitter_ms: 0,
            duplicate: 0,
            damage: 0,
            lose: 0,
            damaged_bytes: [0, 39],
            mend_checksum: false,
            in_a_row: u64::MAX,
        }
    }
}

impl Setup {
    fn read(text: &str) -> Result<Self, String> {
        let setup: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let [first, last] = setup.damaged_bytes;
        for (name, percent) in [("duplicate", setup.duplicate), ("damage", setup.damage), ("lose", setup.lose)] {
            if percent > 100 {
                return Err(format!("expected `{name}` to be a percentage from 0 to 100, got {percent}"));
            }
        }
        if first > last {
            return Err(format!("expected the first of `damagedBytes` not to exceed the last, got {first} and {last}"));
        }
        if setup.seconds > LONGEST_S {
            return Err(format!("expected `seconds` to be at most {LONGEST_S}, got {}", setup.seconds));
        }
        Ok(setup)
    }
}

/// The directions in which packets are impaired. `forth` is from the first interface to the second.
#[derive(Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Ways {
    Both,
    Forth,
    Back,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    frames: u64,
    packets: u64,
    lost: u64,
    damaged: u64,
    duplicated: u64,
    overtaken: u64,
    /// Frames that left more than 25 ms late because the machine did not run the relay.
    late: u64,
}

/// What the input has requested so far.
const IMPAIR: u8 = 0;
const FORWARD: u8 = 1;
const END: u8 = 2;

fn main() -> ExitCode {
    let outcome = std::env::args().nth(1).ok_or_else(|| "relay wants its settings as JSON".to_owned());
    match outcome.and_then(|text| Setup::read(&text)).and_then(|setup| run(&setup)) {
        Ok(counts) => {
            println!("{}", serde_json::to_string(&counts).expect("numbers"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("relay: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(setup: &Setup) -> Result<Counts, String> {
    let mut relay = Relay::new(setup)?;
    let asked = Arc::new(AtomicU8::new(IMPAIR));
    let heard = Arc::clone(&asked);
    let wants_counts = Arc::new(AtomicBool::new(false));
    let is_asked = Arc::clone(&wants_counts);
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if line == "counts" {
                is_asked.store(true, Ordering::Relaxed);
            } else {
                heard.store(FORWARD, Ordering::Relaxed);
            }
        }
        heard.store(END, Ordering::Relaxed);
    });
    println!("{}", serde_json::to_string(setup).expect("settings"));
    let end = clock::now().plus(setup.seconds * 1_000_000);
    while clock::now() < end && asked.load(Ordering::Relaxed) != END {
        relay.impairs = asked.load(Ordering::Relaxed) == IMPAIR;
        relay.turn().map_err(|errno| errno.to_string())?;
        if wants_counts.swap(false, Ordering::Relaxed) {
            println!("{}", serde_json::to_string(&relay.counts).expect("numbers"));
        }
    }
    Ok(relay.counts)
}

/// A frame that waits. The frame that is due first leaves first; of two that are due at the same time, the one that arrived
/// first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Time,
    number: u64,
    to: usize,
    frame: Vec<u8>,
}

struct Relay<'a> {
    setup: &'a Setup,
    ends: [OwnedFd; 2],
    random: Xorshift32,
    impairs: bool,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// For each direction, the consecutive packets that were lost or damaged up to now.
    spoilt: [u64; 2],
    /// For each direction, the number of the last packet that left.
    last: [u64; 2],
    counts: Counts,
    buffer: Vec<u8>,
}

impl<'a> Relay<'a> {
    fn new(setup: &'a Setup) -> Result<Self, String> {
        let open = |name: &String| open(name).map_err(|errno| format!("{name}: {errno}"));
        Ok(Self {
            setup,
            ends: [open(&setup.interfaces[0])?, open(&setup.interfaces[1])?],
            random: Xorshift32::new(setup.seed),
            impairs: true,
            waiting: BinaryHeap::new(),
            spoilt: [0; 2],
            last: [0; 2],
            counts: Counts::default(),
            buffer: vec![0; MAX_FRAME],
        })
    }

    fn turn(&mut self) -> nix::Result<()> {
        let left_us = self.waiting.peek().map_or(100_000, |Reverse(first)| first.due.since(clock::now()).min(100_000));
        let timeout = PollTimeout::try_from(left_us.div_ceil(1_000)).unwrap_or(PollTimeout::MAX);
        let mut ends = self.ends.each_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        match poll(&mut ends, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        for from in 0..2 {
            while let Some(frame) = self.receive(from)? {
                self.take(1 - from, frame);
            }
        }
        self.forward()
    }

    /// The next frame that arrived at an interface.
    fn receive(&mut self, from: usize) -> nix::Result<Option<Vec<u8>>> {
        loop {
            match recvfrom::<LinkAddr>(self.ends[from].as_raw_fd(), &mut self.buffer) {
                // Frames that this namespace sends are not forwarded.
                Ok((_, Some(address))) if address.pkttype() == libc::PACKET_OUTGOING => {}
                Ok((length, _)) => return Ok(Some(self.buffer[..length].to_vec())),
                Err(Errno::EAGAIN) => return Ok(None),
                // The interface was down; it may come up again.
                Err(Errno::ENETDOWN | Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn take(&mut self, to: usize, mut frame: Vec<u8>) {
        self.counts.frames += 1;
        let Some(datagram) = liveness_packet(&frame) else {
            self.queue(to, 0, frame);
            return;
        };
        self.counts.packets += 1;
        // Between virtual interfaces the kernel leaves checksums to hardware, and none computes them.
        put_checksum(&mut frame, datagram);
        let is_impaired = match self.setup.ways {
            Ways::Both => true,
            Ways::Forth => to == 1,
            Ways::Back => to == 0,
        };
        if !self.impairs || !is_impaired {
            self.queue(to, 0, frame);
            return;
        }
        let may_spoil = self.spoilt[to] < self.setup.in_a_row;
        if self.draw(self.setup.lose) && may_spoil {
            self.spoilt[to] += 1;
            self.counts.lost += 1;
            return;
        }
        if self.draw(self.setup.damage) && may_spoil {
            self.spoilt[to] += 1;
            self.damage(&mut frame, datagram);
        } else {
            self.spoilt[to] = 0;
        }
        if self.draw(self.setup.duplicate) {
            self.counts.duplicated += 1;
            let delay_us = self.delay_us();
            self.queue(to, delay_us, frame.clone());
        }
        let delay_us = self.delay_us();
        self.queue(to, delay_us, frame);
    }

    fn damage(&mut self, frame: &mut [u8], datagram: usize) {
        let [first, last] = self.setup.damaged_bytes;
        let offset = datagram + UDP_HEADER + first + self.random.below((last - first + 1) as u64) as usize;
        let flip = 1 + self.random.below(255) as u8;
        let Some(byte) = frame.get_mut(offset) else { return };
        *byte ^= flip;
        self.counts.damaged += 1;
        if self.setup.mend_checksum {
            put_checksum(frame, datagram);
        }
    }

    fn draw(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn delay_us(&mut self) -> u64 {
        let jitter_us = self.setup.jitter_ms * 1_000;
        (self.setup.delay_ms * 1_000 + self.random.below(2 * jitter_us + 1)).saturating_sub(jitter_us)
    }

    fn queue(&mut self, to: usize, delay_us: u64, frame: Vec<u8>) {
        if self.waiting.len() < MOST_WAITING {
            let due = clock::now().plus(delay_us);
            self.waiting.push(Reverse(Waiting { due, number: self.counts.frames, to, frame }));
        }
    }

    fn forward(&mut self) -> nix::Result<()> {
        while self.waiting.peek().is_some_and(|Reverse(first)| first.due <= clock::now()) {
            let Some(Reverse(Waiting { due, number, to, frame })) = self.waiting.pop() else { break };
            self.counts.late += u64::from(clock::now().since(due) > LATE_US);
            self.counts.overtaken += u64::from(number < self.last[to]);
            self.last[to] = number;
            match send(self.ends[to].as_raw_fd(), &frame, MsgFlags::empty()) {
                // A frame is lost if the interface is down or its queue is full.
                Ok(_) | Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// A socket that receives every frame of an interface.
fn open(name: &str) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // The socket has no protocol until it is bound: with one it would receive frames of all interfaces before that.
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None::<SockProtocol>)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: if_nametoindex(name)?.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is a whole sockaddr_ll with its family set, of the size that is given.
    let address =
        unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(mem::size_of_val(&address) as libc::socklen_t)) };
    bind(fd.as_raw_fd(), &address.ok_or(Errno::EINVAL)?)?;
    Ok(fd)
}

/// The offset of the UDP header in a liveness packet; `None` for any other frame, and for fragments.
fn liveness_packet(frame: &[u8]) -> Option<usize> {
    let ip = frame.get(ETHERNET_HEADER..)?;
    let is_ipv4_udp = frame[12..14] == [0x08, 0x00] && ip.len() >= 20 && ip[0] >> 4 == 4 && ip[9] == 17;
    let is_whole = is_ipv4_udp && word(ip, 6) & 0x3fff == 0;
    let header = usize::from(*ip.first()? & 0x0f) * 4;
    let udp = ip.get(header..)?;
    let fits = is_whole && udp.len() >= UDP_HEADER && usize::from(word(udp, 4)) <= udp.len();
    (fits && word(udp, 4) as usize >= UDP_HEADER && word(udp, 2) == Liveness::PORT).then_some(ETHERNET_HEADER + header)
}

/// Writes the UDP checksum (RFC 768): over the addresses, the protocol, the length, and the datagram.
fn put_checksum(frame: &mut [u8], datagram: usize) {
    let length = word(frame, datagram + 4);
    frame[datagram + 6..datagram + 8].fill(0);
    let addresses = &frame[ETHERNET_HEADER + 12..ETHERNET_HEADER + 20];
    let bytes = &frame[datagram..datagram + usize::from(length)];
    let sum: u32 = words(addresses).chain(words(bytes)).sum::<u32>() + 17 + u32::from(length);
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(((folded & 0xffff) + (folded >> 16)) as u16);
    // A zero would mean that the datagram has no checksum.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    frame[datagram + 6..datagram + 8].copy_from_slice(&checksum.to_be_bytes());
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
}

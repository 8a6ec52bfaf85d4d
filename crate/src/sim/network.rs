//! The network between the hosts. It loses, delays, reorders, duplicates and damages packets, as its generator decides.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::engine::Path;
use crate::protocol::time::Time;
use crate::sim::random::Random;

/// The longest payload of any protocol.
const LONGEST: usize = 64;

/// Names a host: the last byte of its address, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u8);

/// The quality of the path from one host to another. Parts per million are probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// The shortest delay of a packet, in microseconds.
    pub delay_us: u64,
    /// How much longer the delay may be, in microseconds.
    pub jitter_us: u64,
    /// A packet is lost.
    pub loss_ppm: u32,
    /// A packet arrives twice.
    pub duplicate_ppm: u32,
    /// A packet is overtaken: it takes twice the longest delay.
    pub reorder_ppm: u32,
    /// A packet arrives with one bit flipped, or cut short.
    pub corrupt_ppm: u32,
}

impl Quality {
    /// The longest delay of a packet, in microseconds.
    #[must_use]
    pub const fn slowest_us(&self) -> u64 {
        (self.delay_us + self.jitter_us) * if self.reorder_ppm > 0 { 2 } else { 1 }
    }
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// When it arrives.
    pub at: Time,
    /// Packets that arrive at the same time arrive in this order.
    order: u64,
    /// The receiver.
    pub to: HostId,
    /// The path from the receiver's side.
    pub path: Path,
    /// The payload.
    pub bytes: [u8; LONGEST],
    /// How many bytes of the payload arrive.
    pub length: u8,
    /// Whether the network damaged it.
    pub corrupted: bool,
}

/// A datagram in the socket of its receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub arrival: Time,
    pub flight: Flight,
}

/// The network between all hosts.
#[derive(Debug)]
pub struct Network {
    random: Random,
    usual: Quality,
    unusual: FxHashMap<(HostId, HostId), Quality>,
    cut: FxHashMap<(HostId, HostId), Time>,
    flights: BinaryHeap<Flight>,
    sent: u64,
    slowest_us: u64,
}

impl Network {
    /// A network without packets. `usual` is the quality of every path.
    #[must_use]
    pub fn new(random: Random, usual: Quality) -> Self {
        Self {
            random,
            usual,
            unusual: FxHashMap::default(),
            cut: FxHashMap::default(),
            flights: BinaryHeap::new(),
            sent: 0,
            slowest_us: usual.slowest_us(),
        }
    }

    /// The quality of a path.
    #[must_use]
    pub fn quality(&self, from: HostId, to: HostId) -> Quality {
        self.unusual.get(&(from, to)).copied().unwrap_or(self.usual)
    }

    /// Sets the quality of one path.
    pub fn set_quality(&mut self, from: HostId, to: HostId, quality: Quality) {
        self.unusual.insert((from, to), quality);
        self.slowest_us = self.slowest_us.max(quality.slowest_us());
    }

    /// Sets the quality of the paths for which `set_quality` was not called.
    pub fn set_usual_quality(&mut self, quality: Quality) {
        self.usual = quality;
        self.slowest_us = self.slowest_us.max(quality.slowest_us());
    }

    /// The longest delay of any packet so far, in microseconds.
    #[must_use]
    pub fn slowest_us(&self) -> u64 {
        self.slowest_us
    }

    /// Loses every packet that is sent from one host to another from now on. Packets under way arrive.
    pub fn cut(&mut self, from: HostId, to: HostId, now: Time) {
        self.cut.entry((from, to)).or_insert(now);
    }

    /// Ends a cut.
    pub fn heal(&mut self, from: HostId, to: HostId) {
        self.cut.remove(&(from, to));
    }

    /// When the path was cut; `None` if it is not.
    #[must_use]
    pub fn cut_since(&self, from: HostId, to: HostId) -> Option<Time> {
        self.cut.get(&(from, to)).copied()
    }

    /// Sends a packet: loses it, or schedules its arrival.
    ///
    /// # Panics
    /// If the payload is longer than that of any protocol.
    pub fn send(&mut self, now: Time, from: HostId, to: HostId, path: Path, payload: &[u8]) {
        if self.cut.contains_key(&(from, to)) {
            return;
        }
        let quality = self.quality(from, to);
        if self.random.chance(quality.loss_ppm) {
            return;
        }
        let copies = if self.random.chance(quality.duplicate_ppm) { 2 } else { 1 };
        let mut bytes = [0; LONGEST];
        bytes[..payload.len()].copy_from_slice(payload);
        let length = payload.len() as u8;
        for _ in 0..copies {
            let mut delay_us = quality.delay_us + self.random.up_to(quality.jitter_us);
            if self.random.chance(quality.reorder_ppm) {
                delay_us = quality.slowest_us();
            }
            self.sent += 1;
            let mut flight =
                Flight { at: now.plus(delay_us), order: self.sent, to, path, bytes, length, corrupted: false };
            if self.random.chance(quality.corrupt_ppm) {
                self.corrupt(&mut flight);
            }
            self.flights.push(flight);
        }
    }

    fn corrupt(&mut self, flight: &mut Flight) {
        flight.corrupted = true;
        if self.random.chance(100_000) {
            flight.length = self.random.up_to(u64::from(flight.length) - 1) as u8;
        } else {
            let bit = self.random.up_to(u64::from(flight.length) * 8 - 1) as usize;
            flight.bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Time> {
        self.flights.peek().map(|flight| flight.at)
    }

    /// The next packet that has arrived by now.
    pub fn arrived(&mut self, now: Time) -> Option<Flight> {
        if self.flights.peek()?.at > now { None } else { self.flights.pop() }
    }
}

// The heap gives the greatest first: the earliest, and of equal times the one that was sent first, is the greatest.
impl Ord for Flight {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Flight {}

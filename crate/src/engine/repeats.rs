//! Packets that the kernel takes in without handing them over. A *repeat* is a packet of a session in Up that equals the one
//! before in every byte and came the same way: it tells nothing but that the peer was heard. A filter in the kernel (`net::repeat_filter`)
//! compares packets with what is written here, and notes the times of repeats here. This module has the memory that both share; it
//! has no I/O: the simulator's filter uses the same memory.
//!
//! The filter runs on any processor, at any time, so every field is atomic. A packet that it compares while the engine writes is handed
//! over, or counts as a repeat of the packet before.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::protocol::header_fields::PEER_DISCR;
use crate::protocol::time::Time;

/// The most bytes of a packet that may repeat.
pub const IMAGE_LEN: usize = 40;
const IMAGE_WORDS: usize = IMAGE_LEN / 8;

/// The most places there are: 128 MB of the kernel's memory.
const MOST_PLACES: usize = 1 << 20;

/// A session has one of so many places, which follow the one that the low bits of its discriminator name. Where others have all
/// of them, its packets are handed over.
pub(crate) const WAYS: usize = 8;

/// The bytes of a packet.
pub(crate) type Image = [u64; IMAGE_WORDS];

/// An address as four words of its bytes; one of IPv4 has the first alone.
pub(crate) type AddressWords = [u32; 4];

/// What is shared of one session. The filter knows the offsets of the fields. A packet of IPv4 costs it two cache lines of one
/// page. What it writes is in the second: the engine reads that one alone while nothing changes, and the first stays with the
/// processor that the filter runs on.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct Place {
    /// The packet.
    pub(crate) image: [AtomicU64; IMAGE_WORDS],
    /// 1 while repeats are taken in; 0 else.
    pub(crate) is_armed: AtomicU32,
    /// The least TTL.
    pub(crate) min_ttl: AtomicU32,
    /// The interface that packets come in by; 0 for any.
    pub(crate) ifindex: AtomicU32,
    /// The peer's address: its first word.
    pub(crate) source: AtomicU32,
    /// Our address: its first word.
    pub(crate) local: AtomicU32,
    unused: u32,
    /// When the last packet arrived, in nanoseconds of the kernel's monotonic clock.
    pub(crate) heard_ns: AtomicU64,
    /// How many repeats there were, since the place was made.
    pub(crate) count: AtomicU64,
    /// The longest time between two packets since the place was armed last, in nanoseconds.
    pub(crate) worst_gap_ns: AtomicU64,
    /// In the first place: the repeats of all sessions.
    pub(crate) total: AtomicU64,
    /// The other words of the peer's address, where it is one of IPv6.
    pub(crate) source_rest: [AtomicU32; 3],
    /// The other words of our address.
    pub(crate) local_rest: [AtomicU32; 3],
}

/// A packet that may repeat, and how it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeatable<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) source: IpAddr,
    pub(crate) local: IpAddr,
    pub(crate) ifindex: u32,
    pub(crate) min_ttl: u8,
    pub(crate) arrival: Time,
}

/// When a session was heard last, and what has repeated since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Time,
    pub(crate) count: u64,
    pub(crate) worst_gap_us: u64,
}

/// The memory that the filter shares.
pub trait SharedPlaces: Send {
    /// As many as a power of two.
    fn places(&self) -> &[Place];
}

/// What the engine knows of a session by itself.
#[derive(Clone, Copy, Debug)]
struct Own {
    place: u32,
    /// How many repeats were counted.
    counted: u64,
}

/// The sessions whose repeats are taken in, and how many of those were counted.
pub struct Repeats {
    shared: Box<dyn SharedPlaces>,
    /// By slot; `None` where every packet is handed over.
    armed: Vec<Option<Own>>,
    /// What our monotonic clock is ahead of the filter's, in nanoseconds: not 0 in a time namespace.
    clock_offset_ns: i64,
}

impl std::fmt::Debug for Repeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repeats").field("places", &self.shared.places().len()).finish_non_exhaustive()
    }
}

impl Repeats {
    /// How many places a filter has for so many sessions.
    #[must_use]
    pub fn places_for(sessions: usize) -> usize {
        (2 * sessions).next_power_of_two().clamp(WAYS, MOST_PLACES)
    }

    /// With the memory of a filter, and what the engine's clock is ahead of the filter's, in nanoseconds.
    #[must_use]
    pub fn new(shared: Box<dyn SharedPlaces>, clock_offset_ns: i64) -> Self {
        Self { shared, armed: Vec::new(), clock_offset_ns }
    }

    /// From now on repeats of the packet are taken in. Without room for the session they are handed over.
    pub(crate) fn arm(&mut self, slot: u32, packet: &Repeatable<'_>) {
        let heard_ns = self.filter_ns(packet.arrival);
        let Some(image) = image_of(packet.bytes) else { return self.disarm(slot) };
        if let Some(own) = self.own(slot) {
            let place = self.place(own.place);
            // The filter's stamp may be newer than the packet, which waited in the socket.
            place.heard_ns.fetch_max(heard_ns, Ordering::Relaxed);
            if place.holds(&image, packet) {
                return;
            }
            self.disarm(slot);
        }
        let Some((number, place)) = self.free_place(discr_in(&image)) else { return };
        place.hold(&image, packet);
        place.heard_ns.store(heard_ns, Ordering::Relaxed);
        place.worst_gap_ns.store(0, Ordering::Relaxed);
        let own = Own { place: number, counted: place.count.load(Ordering::Relaxed) };
        place.is_armed.store(1, Ordering::Release);
        let at = slot as usize;
        if self.armed.len() <= at {
            self.armed.resize(at + 1, None);
        }
        self.armed[at] = Some(own);
    }

    /// From now on every packet of the session is handed over.
    pub(crate) fn disarm(&mut self, slot: u32) {
        if let Some(own) = self.armed.get_mut(slot as usize).and_then(Option::take) {
            self.place(own.place).is_armed.store(0, Ordering::Release);
        }
    }

    /// Takes what was noted of the session in a slot; `None` where its packets are handed over.
    #[inline]
    pub(crate) fn take(&mut self, slot: u32) -> Option<Heard> {
        let own = self.armed.get_mut(slot as usize)?.as_mut()?;
        let Place { heard_ns, count, worst_gap_ns, .. } = &self.shared.places()[own.place as usize];
        let counted = std::mem::replace(&mut own.counted, count.load(Ordering::Acquire));
        let count = own.counted - counted;
        let worst_gap_us = worst_gap_ns.load(Ordering::Relaxed).div_ceil(1_000);
        Some(Heard { at: self.time(heard_ns.load(Ordering::Relaxed)), count, worst_gap_us })
    }

    fn own(&self, slot: u32) -> Option<Own> {
        self.armed.get(slot as usize).copied().flatten()
    }

    fn place(&self, number: u32) -> &Place {
        &self.shared.places()[number as usize]
    }

    fn free_place(&self, discr: u32) -> Option<(u32, &Place)> {
        let places = self.shared.places();
        let mut mine = places_of(discr, places.len()).map(|number| (number, &places[number as usize]));
        mine.find(|(_, place)| place.is_armed.load(Ordering::Relaxed) == 0)
    }

    fn filter_ns(&self, at: Time) -> u64 {
        (at.micros() * 1_000).saturating_add_signed(-self.clock_offset_ns)
    }

    fn time(&self, filter_ns: u64) -> Time {
        Time::from_micros(filter_ns.saturating_add_signed(self.clock_offset_ns) / 1_000)
    }
}

impl Place {
    /// Whether it has the packet already.
    fn holds(&self, image: &Image, packet: &Repeatable<'_>) -> bool {
        loaded(&self.image) == *image
            && self.source() == words_of(packet.source)
            && self.local() == words_of(packet.local)
            && self.ifindex.load(Ordering::Relaxed) == packet.ifindex
            && self.min_ttl.load(Ordering::Relaxed) == u32::from(packet.min_ttl)
    }

    fn hold(&self, image: &Image, packet: &Repeatable<'_>) {
        self.image.iter().zip(image).for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
        for (first, rest, address) in
            [(&self.source, &self.source_rest, packet.source), (&self.local, &self.local_rest, packet.local)]
        {
            let words = words_of(address);
            first.store(words[0], Ordering::Relaxed);
            rest.iter().zip(&words[1..]).for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
        }
        self.ifindex.store(packet.ifindex, Ordering::Relaxed);
        self.min_ttl.store(packet.min_ttl.into(), Ordering::Relaxed);
    }

    /// The words of the peer's address.
    pub(crate) fn source(&self) -> AddressWords {
        loaded_words(&self.source, &self.source_rest)
    }

    /// The words of our address.
    pub(crate) fn local(&self) -> AddressWords {
        loaded_words(&self.local, &self.local_rest)
    }
}

/// The places that a session may have.
pub(crate) fn places_of(discr: u32, count: usize) -> impl Iterator<Item = u32> {
    (0..WAYS as u32).map(move |way| discr.wrapping_add(way) & (count - 1) as u32)
}

/// The bytes of a packet as words; `None` where it is too long.
pub(crate) fn image_of(bytes: &[u8]) -> Option<Image> {
    let mut padded = [0; IMAGE_LEN];
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| padded[8 * at + byte]));
    Some(std::array::from_fn(word))
}

/// The receiver's discriminator in a packet, its bytes as the wire has them.
pub(crate) fn discr_in(image: &Image) -> u32 {
    const { assert!(PEER_DISCR.start == 8) };
    let bytes = image[1].to_ne_bytes();
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The bytes of an address as words.
pub(crate) fn words_of(address: IpAddr) -> AddressWords {
    match address {
        IpAddr::V4(address) => [u32::from_ne_bytes(address.octets()), 0, 0, 0],
        IpAddr::V6(address) => {
            let bytes = address.octets();
            std::array::from_fn(|at| u32::from_ne_bytes(std::array::from_fn(|byte| bytes[4 * at + byte])))
        }
    }
}

pub(crate) fn loaded(image: &[AtomicU64; IMAGE_WORDS]) -> Image {
    std::array::from_fn(|at| image[at].load(Ordering::Relaxed))
}

fn loaded_words(first: &AtomicU32, [second, third, fourth]: &[AtomicU32; 3]) -> AddressWords {
    [first, second, third, fourth].map(|word| word.load(Ordering::Relaxed))
}

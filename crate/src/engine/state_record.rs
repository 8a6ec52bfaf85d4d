//! A session as the state file has it: a record of fixed size, in which a successor finds all that it needs.

use std::net::{IpAddr, Ipv6Addr};

use crate::engine::io::{Continued, Path};
use crate::protocol::saved_session::SavedSession;
use crate::protocol::session::Timestamps;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::protocol::timers::{PreviousTimers, Timers};

/// Bytes of a record.
pub const RECORD_LEN: usize = 176;

/// Bytes of the name of an interface (linux/if.h: IFNAMSIZ).
const NAME_LEN: usize = 16;

/// The packets of the session have no interface (RFC 5883).
const MULTIHOP: u8 = 1;
const HAS_PREVIOUS: u8 = 2;

/// A session of the state file. Its interface is a name: its index may be another one when it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// The name of the interface.
    pub interface: String,
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub peer: IpAddr,
    /// The UDP port that packets are sent to.
    pub peer_port: u16,
    /// The UDP port that packets leave from, where the session has one of its own; 0 else.
    pub source_port: u16,
    /// The peer is several hops away.
    pub multihop: bool,
    /// The least TTL that a packet of the peer must have.
    pub min_ttl: u8,
    /// The session itself.
    pub saved: SavedSession,
}

impl StateRecord {
    /// A session of the table, over an interface of this name.
    #[must_use]
    pub fn new(continued: Continued, interface: String, multihop: bool) -> Self {
        let Continued { path, peer_port, source_port, min_ttl, saved, .. } = continued;
        let Path { local, peer, .. } = path;
        Self { interface, local, peer, peer_port, source_port, multihop, min_ttl, saved }
    }

    /// The record as bytes; `None` where the name of the interface is longer than Linux allows.
    #[must_use]
    pub fn encode(&self) -> Option<[u8; RECORD_LEN]> {
        let saved = &self.saved;
        let mut name = [0; NAME_LEN];
        name.get_mut(..self.interface.len())?.copy_from_slice(self.interface.as_bytes());
        let mut writer = Writer { bytes: [0; RECORD_LEN], at: 0 };
        let previous = saved.previous;
        let flags = [(self.multihop, MULTIHOP), (previous.is_some(), HAS_PREVIOUS)];
        writer.put(&[flags.into_iter().map(|(is_set, flag)| if is_set { flag } else { 0 }).sum::<u8>()]);
        writer.put(&[saved.state as u8, saved.last_down_reason as u8, self.min_ttl]);
        writer.put(&name);
        writer.put(&address_bytes(self.local));
        writer.put(&address_bytes(self.peer));
        writer.put(&self.peer_port.to_le_bytes());
        writer.put(&self.source_port.to_le_bytes());
        writer.timers(saved.timers);
        let previous = previous.unwrap_or(PreviousTimers { tx_min_us: 0, rx_min_us: 0, until: Time::from_micros(0) });
        writer.put(&previous.tx_min_us.to_le_bytes());
        writer.put(&previous.rx_min_us.to_le_bytes());
        writer.time(Some(previous.until));
        for number in [saved.local_discr, saved.peer_discr, saved.peer_tx_min_us, saved.peer_rx_min_us] {
            writer.put(&number.to_le_bytes());
        }
        writer.put(&[saved.peer_detect_mult]);
        writer.put(&saved.details);
        writer.put(&saved.specifics);
        writer.put(&saved.flaps.to_le_bytes());
        writer.put(&saved.worst_gap_ms.to_le_bytes());
        writer.time(saved.last_rx);
        let Timestamps { conv_up_start, conv_down_start, up_since, down_since, last_updated } = saved.timestamps;
        for time in [conv_up_start, conv_down_start, up_since, down_since, last_updated] {
            writer.time(time);
        }
        Some(writer.bytes)
    }

    /// The record that these bytes are; `None` where they are none.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let [flags, state, last_down_reason, min_ttl] = reader.take();
        let name: [u8; NAME_LEN] = reader.take();
        let end = name.iter().position(|byte| *byte == 0)?;
        let interface = str::from_utf8(&name[..end]).ok()?.to_owned();
        let (local, peer) = (address(reader.take()), address(reader.take()));
        let (peer_port, source_port) = (reader.u16(), reader.u16());
        let timers = reader.timers();
        let previous = PreviousTimers { tx_min_us: reader.u32(), rx_min_us: reader.u32(), until: reader.time()? };
        let [local_discr, peer_discr, peer_tx_min_us, peer_rx_min_us] = [(); 4].map(|()| reader.u32());
        let [peer_detect_mult] = reader.take();
        let (details, specifics) = (reader.take(), reader.take());
        let (flaps, worst_gap_ms) = (reader.u16(), reader.u16());
        let last_rx = reader.time();
        let [conv_up_start, conv_down_start, up_since, down_since, last_updated] = [(); 5].map(|()| reader.time());
        let saved = SavedSession {
            state: *State::ALL.get(usize::from(state)).filter(|state| **state != State::AdminDown)?,
            last_down_reason: *DownReason::ALL.get(usize::from(last_down_reason))?,
            timers,
            previous: (flags & HAS_PREVIOUS != 0).then_some(previous),
            local_discr,
            peer_discr,
            peer_tx_min_us,
            peer_rx_min_us,
            peer_detect_mult,
            details,
            specifics,
            last_rx,
            flaps,
            worst_gap_ms,
            timestamps: Timestamps { conv_up_start, conv_down_start, up_since, down_since, last_updated },
        };
        let is_whole = local_discr != 0 && local.is_ipv4() == peer.is_ipv4() && timers.detect_mult != 0;
        let multihop = flags & MULTIHOP != 0;
        is_whole.then_some(Self { interface, local, peer, peer_port, source_port, multihop, min_ttl, saved })
    }
}

/// An IPv4 address is the IPv6 address that stands for it (RFC 4291 §2.5.5.2).
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

struct Writer {
    bytes: [u8; RECORD_LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn timers(&mut self, timers: Timers) {
        self.put(&timers.tx_min_us.to_le_bytes());
        self.put(&timers.rx_min_us.to_le_bytes());
        self.put(&[timers.detect_mult]);
    }

    /// A time is never 0.
    fn time(&mut self, time: Option<Time>) {
        self.put(&time.map_or(0, Time::micros).to_le_bytes());
    }
}

struct Reader<'a> {
    bytes: &'a [u8; RECORD_LEN],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = &self.bytes[self.at..self.at + N];
        self.at += N;
        bytes.try_into().expect("a slice of that length")
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn timers(&mut self) -> Timers {
        let (tx_min_us, rx_min_us) = (self.u32(), self.u32());
        let [detect_mult] = self.take();
        Timers { tx_min_us, rx_min_us, detect_mult }
    }

    fn time(&mut self) -> Option<Time> {
        let micros = u64::from_le_bytes(self.take());
        (micros != 0).then(|| Time::from_micros(micros))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = Option<Time>> {
        prop::option::of((1u64..).prop_map(Time::from_micros))
    }

    fn saved() -> impl Strategy<Value = SavedSession> {
        let numbers = (prop::array::uniform8(1u32..), prop::array::uniform4(1u8..), any::<(u16, u16)>());
        let times = (prop::array::uniform6(time()), prop::option::of(1u64..));
        let rest = (any::<([u8; 5], [u8; 4])>(), 1usize..4, 0usize..5);
        (numbers, times, rest).prop_map(
            |((numbers, bytes, (flaps, worst_gap_ms)), (times, until), ((details, specifics), state, reason))| {
                let [
                    tx_min_us,
                    rx_min_us,
                    before_tx,
                    before_rx,
                    local_discr,
                    peer_discr,
                    peer_tx_min_us,
                    peer_rx_min_us,
                ] = numbers;
                let [conv_up_start, conv_down_start, up_since, down_since, last_updated, last_rx] = times;
                SavedSession {
                    state: State::ALL[state],
                    last_down_reason: DownReason::ALL[reason],
                    timers: Timers { tx_min_us, rx_min_us, detect_mult: bytes[0] },
                    previous: until.map(|until| PreviousTimers {
                        tx_min_us: before_tx,
                        rx_min_us: before_rx,
                        until: Time::from_micros(until),
                    }),
                    local_discr,
                    peer_discr,
                    peer_tx_min_us,
                    peer_rx_min_us,
                    peer_detect_mult: bytes[1],
                    details,
                    specifics,
                    last_rx,
                    flaps,
                    worst_gap_ms,
                    timestamps: Timestamps { conv_up_start, conv_down_start, up_since, down_since, last_updated },
                }
            },
        )
    }

    pub(crate) fn record() -> impl Strategy<Value = StateRecord> {
        (saved(), "[a-z0-9]{1,15}", any::<[u32; 2]>(), any::<bool>(), any::<(u16, u16, bool, u8)>()).prop_map(
            |(saved, interface, [local, peer], is_ipv6, (peer_port, source_port, multihop, min_ttl))| {
                let address = |number: u32| -> IpAddr {
                    if is_ipv6 {
                        Ipv6Addr::from(1 << 96 | u128::from(number)).into()
                    } else {
                        std::net::Ipv4Addr::from(number).into()
                    }
                };
                let (local, peer) = (address(local), address(peer));
                StateRecord { interface, local, peer, peer_port, source_port, multihop, min_ttl, saved }
            },
        )
    }

    proptest! {
        #[test]
        fn a_session_comes_back_from_its_record_as_it_was(record in record()) {
            prop_assert_eq!(StateRecord::decode(&record.encode().unwrap()), Some(record));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: [u8; 32], at in 0usize..=RECORD_LEN - 32) {
            let mut whole = [1; RECORD_LEN];
            whole[at..at + 32].copy_from_slice(&bytes);
            if let Some(record) = StateRecord::decode(&whole) {
                prop_assert_eq!(StateRecord::decode(&record.encode().unwrap()), Some(record));
            }
        }
    }
}

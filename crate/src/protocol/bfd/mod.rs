//! BFD: the protocol of RFC 5880, in asynchronous mode, without Echo; single hop (RFC 5881) and multihop (RFC 5883).
//!
//! A multihop session has no interface in its path (`LinkId::OTHER`), its packets go to `MULTIHOP_PORT`, and its least TTL is
//! its own (`SessionSpec::min_ttl`).

pub mod authentication;
pub mod options;
pub mod packet;
pub mod poll;
pub mod rules;
pub mod specifics;
pub mod state_table;

use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::bfd::packet::{BfdBytes, BfdPacket};
use crate::protocol::bfd::specifics::BfdSpecifics;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::rules::Rules;
use crate::protocol::specifics::DETAILS_LEN;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::transition::{Situation, Verdict};
use crate::protocol::{Demultiplex, Header, Protocol};

/// BFD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bfd;

/// The UDP port of multihop sessions (RFC 5883 §5).
pub const MULTIHOP_PORT: u16 = 4784;

/// The shortest transmit interval while a session is not Up, in microseconds (RFC 5880 §6.8.3).
pub const SLOW_US: u32 = 1_000_000;

impl Protocol for Bfd {
    type Packet = BfdPacket;
    type Bytes = BfdBytes;
    type Identity = ();
    type PeerDetails = ();
    type Options = BfdOptions;
    type Specifics = BfdSpecifics;

    /// As many as the length field can say: a packet of an unknown authentication type is told from a truncated one.
    const PACKET_LEN: usize = u8::MAX as usize;
    const PLAIN_LEN: usize = packet::PACKET_LEN;
    /// RFC 5881 §4.
    const PORT: u16 = 3784;
    /// RFC 5881 §5.
    const TTL: u8 = 255;
    /// Class selector 6, network control.
    const TOS: u8 = 0xC0;
    /// RFC 5881 §5: a packet that crossed a router is discarded.
    const MIN_TTL: u8 = 255;
    const POLLS: bool = true;
    /// RFC 5880 §6.8.7.
    const FOLLOWS_SLOW_RECEIVERS: bool = true;
    /// A peer may answer with its next periodic packet, a second later.
    const MEASURES_ROUND_TRIP: bool = false;

    /// A quarter of what the jitter leaves: 3 ms of 50.
    const SLACK_DIVISOR: u64 = 16;

    fn decode(bytes: &[u8]) -> Result<BfdPacket, DropReason> {
        BfdPacket::unmarshal(bytes)
    }

    fn encode(packet: &BfdPacket, specifics: &mut BfdSpecifics, now: Time) -> BfdBytes {
        specifics.write(packet, now)
    }

    /// The D bit is never set; Echo is not supported.
    fn packet(header: Header, _: Option<()>, specifics: &BfdSpecifics, is_answer: bool) -> BfdPacket {
        BfdPacket {
            header,
            diagnostic: specifics.local_diag(),
            // RFC 5880 §6.5: never both.
            poll: specifics.poll().is_active() && !is_answer,
            is_final: is_answer,
            demand: false,
            required_min_echo_rx_us: 0,
            authenticated: None,
        }
    }

    fn header(packet: &BfdPacket) -> Header {
        packet.header
    }

    fn peer_details(_: &BfdPacket) {}

    fn save_details((): &()) -> [u8; DETAILS_LEN] {
        [0; DETAILS_LEN]
    }

    fn load_details(_: [u8; DETAILS_LEN]) {}

    fn is_passive((): &()) -> bool {
        false
    }

    /// RFC 5880 §6.3.
    fn demultiplex(header: &Header) -> Demultiplex {
        match header.peer_discr {
            0 => Demultiplex::Path,
            discr => Demultiplex::Discriminator(discr),
        }
    }

    fn receive(_: &Rules, situation: &Situation) -> Verdict {
        state_table::receive(situation)
    }

    /// RFC 5880 §6.8.4: the peer's.
    fn detect_mult(_: u8, peer: u8) -> u8 {
        peer
    }

    /// RFC 5880 §6.8.7: 75 to 100 %, and at most 90 % where our detection multiplier is 1.
    fn jitter_bounds_us(interval_us: u64, local_mult: u8, _: u8) -> (u64, u64) {
        let most_us = if local_mult == 1 { interval_us - interval_us / 10 } else { interval_us };
        (interval_us - interval_us / 4, most_us)
    }

    /// RFC 5880 §6.8.3.
    fn tx_interval_us(state: State, agreed_us: u64, _: u8, _: u64) -> u64 {
        if state == State::Up { agreed_us } else { agreed_us.max(u64::from(SLOW_US)) }
    }

    /// RFC 5880 §6.8.3.
    fn advertised_tx_us(state: State, wanted_us: u32) -> u32 {
        if state == State::Up { wanted_us } else { wanted_us.max(SLOW_US) }
    }

    /// RFC 5880 §6.8.16: at least the detection time of the peer.
    fn announcement_us(told_us: u64, detect_time_us: u64) -> u64 {
        told_us.max(detect_time_us)
    }

    /// RFC 5880 §6.8.3: until the Final.
    fn previous_timers_us(_: u64, _: u64) -> u64 {
        u64::MAX
    }
}

//! The liveness protocol: 40-byte packets, one session a path.

pub mod packet;
pub mod state_table;

use crate::protocol::drop_reason::DropReason;
use crate::protocol::liveness::packet::{ControlPacket, DecodeError, PACKET_LEN};
use crate::protocol::rules::Rules;
use crate::protocol::specifics::DETAILS_LEN;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::transition::{Situation, Verdict};
use crate::protocol::{Demultiplex, Header, Protocol};

/// The liveness protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness;

/// What the local side says of itself in bytes 20 to 24.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// We only observe: our routes do not follow the session.
    pub passive: bool,
    /// Major, minor, patch, channel.
    pub version: [u8; 4],
}

/// What the peer says of itself in bytes 20 to 24; zeros from the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerDetails {
    /// It only observes: its routes do not follow the session.
    pub passive: bool,
    /// Major, minor, patch, channel.
    pub version: [u8; 4],
}

impl Protocol for Liveness {
    type Packet = ControlPacket;
    type Bytes = [u8; PACKET_LEN];
    type Identity = Identity;
    type PeerDetails = PeerDetails;
    type Options = ();
    type Specifics = ();

    const PACKET_LEN: usize = PACKET_LEN;
    const PLAIN_LEN: usize = PACKET_LEN;
    const PORT: u16 = 44880;
    /// The highest there is: a receiver may ask for it, to hear neighbours only (RFC 5082 §3).
    const TTL: u8 = 255;
    /// Class selector 6, network control: liveness packets go before the traffic that they speak for.
    const TOS: u8 = 0xC0;
    /// The reference accepts any.
    const MIN_TTL: u8 = 0;
    const POLLS: bool = false;
    /// The reference clamps them to its own ceiling.
    const FOLLOWS_SLOW_RECEIVERS: bool = false;
    const MEASURES_ROUND_TRIP: bool = true;

    const SLACK_DIVISOR: u64 = 100;

    #[inline]
    fn decode(bytes: &[u8]) -> Result<ControlPacket, DropReason> {
        let packet = ControlPacket::unmarshal(bytes).map_err(|error| match error {
            DecodeError::Short(_) => DropReason::Short,
            DecodeError::Version(_) => DropReason::Version,
            DecodeError::Length(_) => DropReason::Length,
        })?;
        // RFC 5880 §6.8.6: a zero multiplier or a zero discriminator is discarded.
        if packet.detect_mult == 0 {
            return Err(DropReason::DetectMult);
        }
        if packet.local_discr == 0 {
            return Err(DropReason::Discriminator);
        }
        Ok(packet)
    }

    #[inline]
    fn encode(packet: &ControlPacket, (): &mut (), _: Time) -> [u8; PACKET_LEN] {
        packet.marshal()
    }

    #[inline]
    fn packet(header: Header, identity: Option<Identity>, (): &(), _: bool) -> ControlPacket {
        let Header { state, detect_mult, local_discr, peer_discr, desired_min_tx_us, required_min_rx_us } = header;
        ControlPacket {
            state,
            detect_mult,
            local_discr,
            peer_discr,
            desired_min_tx_us,
            required_min_rx_us,
            passive: identity.is_some_and(|own| own.passive),
            client_version: identity.map_or([0; 4], |own| own.version),
        }
    }

    #[inline]
    fn header(packet: &ControlPacket) -> Header {
        let ControlPacket {
            state, detect_mult, local_discr, peer_discr, desired_min_tx_us, required_min_rx_us, ..
        } = *packet;
        Header { state, detect_mult, local_discr, peer_discr, desired_min_tx_us, required_min_rx_us }
    }

    #[inline]
    fn peer_details(packet: &ControlPacket) -> PeerDetails {
        PeerDetails { passive: packet.passive, version: packet.client_version }
    }

    fn save_details(details: &PeerDetails) -> [u8; DETAILS_LEN] {
        let [major, minor, patch, channel] = details.version;
        [u8::from(details.passive), major, minor, patch, channel]
    }

    fn load_details([passive, version @ ..]: [u8; DETAILS_LEN]) -> PeerDetails {
        PeerDetails { passive: passive != 0, version }
    }

    #[inline]
    fn is_passive(details: &PeerDetails) -> bool {
        details.passive
    }

    /// The reference: a session is keyed by its path. A packet that names another session is that path's to drop.
    #[inline]
    fn demultiplex(_: &Header) -> Demultiplex {
        Demultiplex::Path
    }

    #[inline]
    fn receive(rules: &Rules, situation: &Situation) -> Verdict {
        state_table::receive(rules, situation)
    }

    /// The reference: our own. (In RFC 5880 §6.8.4 it is the peer's.)
    #[inline]
    fn detect_mult(local: u8, _: u8) -> u8 {
        local
    }

    /// The reference: ± 10 %, or −25 % … −10 % towards a peer whose detection multiplier is 1: it detects by its own
    /// multiplier, and anything longer makes it flap (RFC 5880 §6.8.7).
    #[inline]
    fn jitter_bounds_us(interval_us: u64, _: u8, peer_mult: u8) -> (u64, u64) {
        if peer_mult == 1 {
            (interval_us - interval_us / 4, interval_us - interval_us / 10)
        } else {
            (interval_us - interval_us / 10, interval_us + interval_us / 10)
        }
    }

    /// The reference: in Down the interval doubles with each packet, up to `backoff_max_us`. Backing off never makes us
    /// faster than either side wants.
    #[inline]
    fn tx_interval_us(_: State, agreed_us: u64, doublings: u8, backoff_max_us: u64) -> u64 {
        let longest_us = backoff_max_us.max(agreed_us);
        (agreed_us << doublings).min(longest_us)
    }

    #[inline]
    fn advertised_tx_us(_: State, wanted_us: u32) -> u32 {
        wanted_us
    }

    /// The reference: one detection time.
    #[inline]
    fn announcement_us(_: u64, detect_time_us: u64) -> u64 {
        detect_time_us
    }

    /// There is no Poll: by the longer of the two times the peer has heard of the new timers, or is gone.
    #[inline]
    fn previous_timers_us(told_us: u64, detect_time_us: u64) -> u64 {
        told_us.max(detect_time_us)
    }
}

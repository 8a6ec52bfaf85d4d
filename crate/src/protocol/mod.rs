//! What goes over the wire and what a session does with it. Pure: no I/O, no clock, no thread. Time comes in as a number.
//!
//! [`Protocol`] says in one place what a protocol is. `session` is the machinery that all protocols share, since they are of
//! the family of RFC 5880: intervals, detection, deadlines; what one protocol adds to it is its `Specifics`. Each protocol is
//! a folder: `liveness` and `bfd` have a packet (`packet`), a state table (`state_table`), and what else the trait asks for.
//! Which of the rules hold is a value (`rules`).

pub mod bfd;
pub mod diagnostic;
pub(crate) mod discriminators;
pub mod drop_reason;
pub(crate) mod header_fields;
pub mod jitter;
pub mod liveness;
pub(crate) mod peer_view;
pub mod policy;
pub mod rules;
pub mod saved_session;
pub mod session;
pub mod specifics;
pub mod state;
pub mod time;
pub mod timers;
pub mod transition;

use std::fmt::Debug;

use crate::protocol::drop_reason::DropReason;
use crate::protocol::rules::Rules;
use crate::protocol::specifics::{DETAILS_LEN, Specifics};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::transition::{Situation, Verdict};

/// What the packets of all protocols say: the first 20 bytes are RFC 5880's (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's state.
    pub state: State,
    /// The sender's detection multiplier.
    pub detect_mult: u8,
    /// The sender's discriminator.
    pub local_discr: u32,
    /// The discriminator that the sender last learned from the receiver, or 0.
    pub peer_discr: u32,
    /// How often the sender wants to send, in microseconds.
    pub desired_min_tx_us: u32,
    /// How often the sender wants to receive at most, in microseconds.
    pub required_min_rx_us: u32,
}

/// How the session of a packet is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demultiplex {
    /// By interface, local address and peer address.
    Path,
    /// By this discriminator of ours, whatever path the packet came by, if it came from the session's peer (RFC 5880 §6.3).
    Discriminator(u32),
}

/// What a protocol is. Engines and sessions are generic over it; nothing of it is decided at run time.
pub trait Protocol: Copy + Debug + 'static {
    /// A decoded packet.
    type Packet: Copy + Debug;
    /// A packet as the wire has it.
    type Bytes: AsRef<[u8]> + Copy + Debug + Send;
    /// What the local side says of itself beyond the header.
    type Identity: Copy + Debug + Send + Sync;
    /// What the peer says of itself beyond the header.
    type PeerDetails: Copy + Debug + Default + PartialEq + Send;
    /// What a session is configured with beyond its timers.
    type Options: Clone + Debug + Default + Send;
    /// What a session keeps beyond what the sessions of all protocols keep.
    type Specifics: Specifics<Self::Packet, Self::Options> + Send;

    /// How many bytes of a datagram are read.
    const PACKET_LEN: usize;
    /// How long a packet is without authentication, in bytes.
    const PLAIN_LEN: usize;
    /// The UDP port that packets are sent to by default.
    const PORT: u16;
    /// The TTL of what is sent.
    const TTL: u8;
    /// The type of service of what is sent.
    const TOS: u8;
    /// The least TTL that a received packet must have, unless a session is configured otherwise; 0 accepts any.
    const MIN_TTL: u8;
    /// New timers are agreed by a Poll (RFC 5880 §6.5): previous ones end with it, and not later than the session is Down.
    const POLLS: bool;
    /// A peer may ask for an interval longer than our longest one, and gets it.
    const FOLLOWS_SLOW_RECEIVERS: bool;
    /// A peer answers a change of state at once, so that the handshake measures the round trip.
    const MEASURES_ROUND_TRIP: bool;

    /// A packet may leave early by its interval divided by this, at most: little beside what the jitter leaves.
    const SLACK_DIVISOR: u64;

    /// Reads a packet, and says why it is dropped where it is none that a session may see.
    ///
    /// # Errors
    /// Why the packet is dropped.
    fn decode(bytes: &[u8]) -> Result<Self::Packet, DropReason>;

    /// Writes a packet that a session sends at `now`.
    fn encode(packet: &Self::Packet, specifics: &mut Self::Specifics, now: Time) -> Self::Bytes;

    /// Makes a packet of these fields. `is_answer`: the packet answers one of the peer's, such as a Poll.
    fn packet(
        header: Header,
        identity: Option<Self::Identity>,
        specifics: &Self::Specifics,
        is_answer: bool,
    ) -> Self::Packet;

    /// What the packet says as those of all protocols do.
    fn header(packet: &Self::Packet) -> Header;

    /// What the packet says beyond the header.
    fn peer_details(packet: &Self::Packet) -> Self::PeerDetails;

    /// What the peer says beyond the header, for a successor of this process.
    fn save_details(details: &Self::PeerDetails) -> [u8; DETAILS_LEN];

    /// Takes what `save_details` gave.
    fn load_details(saved: [u8; DETAILS_LEN]) -> Self::PeerDetails;

    /// Whether the peer only observes: its routes do not follow the session.
    fn is_passive(details: &Self::PeerDetails) -> bool;

    /// How the session of a packet is found.
    fn demultiplex(header: &Header) -> Demultiplex;

    /// The state table: what a session does with a packet.
    fn receive(rules: &Rules, situation: &Situation) -> Verdict;

    /// Whose detection multiplier counts.
    fn detect_mult(local: u8, peer: u8) -> u8;

    /// The least and the longest time between two packets, for an interval in microseconds.
    fn jitter_bounds_us(interval_us: u64, local_mult: u8, peer_mult: u8) -> (u64, u64);

    /// The transmit interval in a state, in microseconds: slower than agreed while the session is not Up. `doublings` is
    /// how many packets were sent in this Down, 0 in other states.
    fn tx_interval_us(state: State, agreed_us: u64, doublings: u8, backoff_max_us: u64) -> u64;

    /// The Desired Min TX Interval in packets of a state, if `wanted_us` is configured.
    fn advertised_tx_us(state: State, wanted_us: u32) -> u32;

    /// For how long AdminDown is announced, in microseconds. `told_us` is how long the peer waits for us, `detect_time_us` how long
    /// we wait for the peer.
    fn announcement_us(told_us: u64, detect_time_us: u64) -> u64;

    /// What a change of our timers means: for how long the previous ones still count, in microseconds. `told_us` is how long
    /// the peer waits for us, `detect_time_us` how long we wait for the peer.
    fn previous_timers_us(told_us: u64, detect_time_us: u64) -> u64;
}

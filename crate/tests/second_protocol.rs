//! The engine runs a second protocol, which differs from liveness in everything that the trait `Protocol` leaves open.

use std::net::IpAddr;

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Path, SessionId, SessionSpec};
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{ROBUST, Rules};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::protocol::transition::{PeerDiscriminator, Situation, Verdict};
use route_liveness::protocol::{Demultiplex, Header, Protocol};

/// The packets of liveness with rules of RFC 5880: sessions are found by discriminator, the peer's multiplier counts, Down
/// ignores Up, jitter only shortens an interval, and a session that is not Up sends at a slow interval.
#[derive(Clone, Copy, Debug)]
struct Strict;

const SLOW_US: u64 = 1_000_000;

impl Protocol for Strict {
    type Packet = ControlPacket;
    type Bytes = [u8; 40];
    type Identity = ();
    type PeerDetails = ();

    const PACKET_LEN: usize = 40;
    const PORT: u16 = 3784;
    const TTL: u8 = 255;
    const TOS: u8 = 0xC0;
    const MIN_TTL: u8 = 255;

    fn decode(bytes: &[u8]) -> Result<ControlPacket, DropReason> {
        Liveness::decode(bytes)
    }

    fn encode(packet: &ControlPacket) -> [u8; 40] {
        packet.marshal()
    }

    fn packet(header: Header, _: Option<()>) -> ControlPacket {
        Liveness::packet(header, None)
    }

    fn header(packet: &ControlPacket) -> Header {
        Liveness::header(packet)
    }

    fn peer_details(_: &ControlPacket) {}

    fn is_passive((): &()) -> bool {
        false
    }

    fn demultiplex(header: &Header) -> Demultiplex {
        match header.peer_discr {
            0 => Demultiplex::Path,
            discr => Demultiplex::Discriminator(discr),
        }
    }

    fn receive(rules: &Rules, situation: &Situation) -> Verdict {
        // RFC 5880 §6.8.6: Down ignores Up.
        if situation.state == State::Down && situation.received == State::Up {
            return Verdict::Accept { to: State::Down, peer_discr: PeerDiscriminator::Learn };
        }
        Liveness::receive(rules, situation)
    }

    fn detect_mult(_: u8, peer: u8) -> u8 {
        peer
    }

    fn jitter_bounds_us(interval_us: u64, _: u8, _: u8) -> (u64, u64) {
        (interval_us - interval_us / 4, interval_us)
    }

    fn tx_interval_us(state: State, agreed_us: u64, _: u8, _: u64) -> u64 {
        if state == State::Up { agreed_us } else { agreed_us.max(SLOW_US) }
    }

    fn previous_timers_us(_: u64, _: u64) -> u64 {
        0
    }
}

const OURS: u32 = 1;
const MS: u64 = 1_000;

fn at(ms: u64) -> Time {
    Time::from_micros(1_000_000 + ms * MS)
}

fn path(local: [u8; 4], peer: [u8; 4]) -> Path {
    Path { link: LinkId(1), local: IpAddr::from(local), peer: IpAddr::from(peer) }
}

fn engine(session: Path, min_ttl: Option<u8>) -> (Engine<Strict>, u32) {
    let policy = Policy {
        rules: &ROBUST,
        min_tx_floor_us: 10_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: Strict::MIN_TTL,
        identity: None,
    };
    let mut engine = Engine::<Strict>::of_protocol(policy, 10, 7);
    let discr = engine.draw_discriminator();
    let timers = Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 };
    let spec = SessionSpec { id: SessionId(OURS), path: session, peer_port: Strict::PORT, timers, min_ttl };
    engine.add_session(at(0), spec, discr).expect("the engine has room");
    (engine, discr)
}

fn packet(state: State, peer_discr: u32) -> [u8; 40] {
    let packet = ControlPacket {
        state,
        detect_mult: 5,
        local_discr: 99,
        peer_discr,
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        passive: false,
        client_version: [0; 4],
    };
    packet.marshal()
}

fn receive(engine: &mut Engine<Strict>, ms: u64, path: Path, ttl: Option<u8>, bytes: &[u8]) -> State {
    engine.handle_datagram(at(ms), Datagram { arrival: at(ms), path, ttl, bytes });
    engine.session(SessionId(OURS)).expect("the session was added").0.state()
}

#[test]
fn a_packet_from_the_peer_that_names_our_discriminator_belongs_to_the_session_at_any_local_address() {
    let session = path([10, 0, 0, 1], [10, 0, 0, 2]);
    let (mut engine, discr) = engine(session, None);
    let elsewhere = path([10, 9, 9, 9], [10, 0, 0, 2]);
    let stranger = path([10, 0, 0, 1], [10, 0, 0, 3]);
    assert_eq!(receive(&mut engine, 1, stranger, Some(255), &packet(State::Init, discr)), State::Down);
    assert_eq!(receive(&mut engine, 2, elsewhere, Some(255), &packet(State::Down, 0)), State::Down, "no session there");
    assert_eq!(receive(&mut engine, 3, elsewhere, Some(255), &packet(State::Init, discr)), State::Up);
    let unknown: u64 = engine.stats().iter().map(|(_, counters)| counters.unknown_peer).sum();
    assert_eq!(unknown, 2);
}

#[test]
fn each_session_checks_its_own_least_ttl() {
    for (min_ttl, ttl, state) in [
        (None, Some(254), State::Down),
        (None, Some(255), State::Init),
        (Some(64), Some(64), State::Init),
        (Some(0), None, State::Init),
    ] {
        let session = path([10, 0, 0, 1], [10, 0, 0, 2]);
        let (mut engine, _) = engine(session, min_ttl);
        assert_eq!(
            receive(&mut engine, 1, session, ttl, &packet(State::Down, 0)),
            state,
            "{ttl:?} of at least {min_ttl:?}"
        );
        let dropped: u64 =
            engine.stats().iter().map(|(_, counters)| counters.rx_invalid[DropReason::Ttl as usize]).sum();
        assert_eq!(dropped, u64::from(state == State::Down));
    }
}

#[test]
fn a_session_uses_the_state_table_and_the_multiplier_of_its_protocol() {
    let session = path([10, 0, 0, 1], [10, 0, 0, 2]);
    let (mut engine, discr) = engine(session, None);
    assert_eq!(receive(&mut engine, 1, session, Some(255), &packet(State::Up, discr)), State::Down, "Down ignores Up");
    assert_eq!(receive(&mut engine, 2, session, Some(255), &packet(State::Init, discr)), State::Up);
    let (session, _) = engine.session(SessionId(OURS)).expect("the session was added");
    assert_eq!(session.detect_time_us(), 5 * 50_000, "the peer's multiplier");
}

#[test]
fn a_session_that_is_not_up_sends_at_the_slow_interval_of_its_protocol() {
    let (mut engine, _) = engine(path([10, 0, 0, 1], [10, 0, 0, 2]), None);
    let mut sent_at = Vec::new();
    while sent_at.len() < 20 {
        let now = engine.poll_deadline().expect("a session always sends");
        engine.handle_timeout(now, now);
        while let Some(transmit) = engine.poll_transmit() {
            assert_eq!(transmit.peer_port, 3784);
            sent_at.push(now);
        }
    }
    let gaps: Vec<u64> = sent_at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.iter().all(|us| (750 * MS..=1_000 * MS).contains(us)), "{gaps:?}");
}

#[test]
fn a_session_over_ipv6_addresses_is_found_by_its_path() {
    let session = Path { link: LinkId(1), local: "fe80::1".parse().unwrap(), peer: "fe80::2".parse().unwrap() };
    let (mut engine, _) = engine(session, None);
    assert_eq!(receive(&mut engine, 1, session, Some(255), &packet(State::Down, 0)), State::Init);
    engine.handle_timeout(at(2_000), at(0));
    assert_eq!(engine.poll_transmit().expect("the session answers").path, session);
    let other = Path { peer: "fe80::3".parse().unwrap(), ..session };
    receive(&mut engine, 3, other, Some(255), &packet(State::Down, 0));
    let unknown: u64 = engine.stats().iter().map(|(_, counters)| counters.unknown_peer).sum();
    assert_eq!(unknown, 1);
}

//! Which session a packet belongs to (RFC 5880 §6.3, RFC 5881 §3, RFC 5883 §3), and from how far it may come.

use route_liveness::engine::Path;
use route_liveness::engine::stats::LinkId;
use route_liveness::protocol::Header;
use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::state::State;

use crate::peer::{Bench, path, timers, usual_path};

fn naming(bench: &Bench, state: State, peer_discr: u32) -> BfdPacket {
    let packet = bench.packet(state);
    BfdPacket { header: Header { peer_discr, ..packet.header }, ..packet }
}

#[test]
fn a_packet_from_the_peer_that_names_our_discriminator_belongs_to_the_session_at_any_local_address() {
    let mut bench = Bench::new(BfdOptions::default());
    let elsewhere = path([10, 9, 9, 9], [10, 0, 0, 2]);
    let stranger = path([10, 0, 0, 1], [10, 0, 0, 3]);
    bench.hear_bytes(stranger, &bench.packet(State::Init).marshal());
    assert_eq!((bench.state(), bench.unknown()), (State::Down, 1), "another host names the session");
    bench.hear_bytes(elsewhere, &naming(&bench, State::Down, 0).marshal());
    assert_eq!((bench.state(), bench.unknown()), (State::Down, 2), "no session is there");
    bench.hear_bytes(elsewhere, &bench.packet(State::Init).marshal());
    assert_eq!(bench.state(), State::Up);
}

#[test]
fn a_packet_that_names_no_session_is_counted_and_dropped() {
    let mut bench = Bench::new(BfdOptions::default());
    bench.hear(naming(&bench, State::Down, bench.discr ^ 1));
    assert_eq!((bench.state(), bench.dropped(DropReason::ForeignDiscriminator), bench.unknown()), (State::Down, 1, 0));
}

#[test]
fn each_session_checks_its_own_least_ttl() {
    for (min_ttl, ttl, state) in [
        (None, Some(254), State::Down),
        (None, None, State::Down),
        (None, Some(255), State::Init),
        (Some(64), Some(63), State::Down),
        (Some(64), Some(64), State::Init),
        (Some(0), None, State::Init),
    ] {
        let mut bench = Bench::with(BfdOptions::default(), usual_path(), min_ttl, timers(50, 3));
        bench.ttl = ttl;
        bench.hear(naming(&bench, State::Down, 0));
        assert_eq!(bench.state(), state, "{ttl:?} of at least {min_ttl:?}");
        assert_eq!(bench.dropped(DropReason::Ttl), u64::from(state == State::Down));
    }
}

#[test]
fn a_multihop_session_has_no_interface_in_its_path() {
    let multihop = Path { link: LinkId::OTHER, ..usual_path() };
    let mut bench = Bench::with(BfdOptions::default(), multihop, Some(0), timers(50, 3));
    bench.hear(naming(&bench, State::Down, 0));
    assert_eq!(bench.state(), State::Init);
}

#[test]
fn a_session_over_ipv6_addresses_is_found_by_its_path() {
    let ours = Path { link: LinkId(1), local: "fe80::1".parse().unwrap(), peer: "fe80::2".parse().unwrap() };
    let mut bench = Bench::with(BfdOptions::default(), ours, None, timers(50, 3));
    let other = Path { peer: "fe80::3".parse().unwrap(), ..ours };
    bench.hear_bytes(other, &naming(&bench, State::Down, 0).marshal());
    assert_eq!((bench.state(), bench.unknown()), (State::Down, 1));
    bench.hear(naming(&bench, State::Down, 0));
    assert_eq!(bench.state(), State::Init);
    assert!(!bench.run(2_000_000).is_empty(), "the session answers");
}

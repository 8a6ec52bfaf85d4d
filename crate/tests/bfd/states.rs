//! States, detection and diagnostics over several packets (RFC 5880 §6.8.4, §6.8.6, §6.8.16).

use route_liveness::protocol::Header;
use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::diagnostic::Diagnostic;
use route_liveness::protocol::state::{DownReason, State};

use crate::peer::{Bench, ID, MS};

#[test]
fn two_ends_that_hear_each_other_come_up_in_three_packets_and_down_ignores_up() {
    let mut bench = Bench::new(BfdOptions::default());
    bench.hear(bench.packet(State::Up));
    assert_eq!(bench.state(), State::Down, "Down ignores Up");
    bench.hear(bench.packet(State::Down));
    assert_eq!(bench.state(), State::Init);
    bench.hear(bench.packet(State::Down));
    assert_eq!(bench.state(), State::Init);
    bench.hear(bench.packet(State::Up));
    assert_eq!(bench.state(), State::Up);
}

#[test]
fn the_detection_time_is_the_peers_multiplier_times_the_agreed_interval() {
    for (detect_mult, desired_ms, detect_ms) in [(3, 50, 150), (5, 50, 250), (3, 20, 150), (3, 70_000, 210_000)] {
        let mut bench = Bench::up();
        let mut packet = bench.packet(State::Up);
        (packet.header.detect_mult, packet.header.desired_min_tx_us) = (detect_mult, desired_ms * 1_000);
        bench.hear(packet);
        assert_eq!(bench.session().detect_time_us(), detect_ms * MS);
        bench.run(detect_ms * MS - 1);
        assert_eq!(bench.state(), State::Up);
        bench.run(1);
        assert_eq!(bench.state(), State::Down);
    }
}

#[test]
fn init_ends_after_the_detection_time() {
    let mut bench = Bench::new(BfdOptions::default());
    let mut packet = bench.packet(State::Down);
    packet.header.desired_min_tx_us = 1_000_000;
    bench.hear(packet);
    bench.run(3_000 * MS - 1);
    assert_eq!(bench.state(), State::Init);
    bench.run(1);
    assert_eq!(bench.state(), State::Down);
}

#[test]
fn a_timeout_is_said_with_diagnostic_1_and_the_peer_is_forgotten_a_detection_time_later() {
    let mut bench = Bench::up();
    bench.run(150 * MS);
    assert_eq!(
        (bench.state(), bench.session().specifics().local_diag()),
        (State::Down, Diagnostic::DetectionTimeExpired)
    );
    let sent = bench.run(5_000 * MS);
    let said = |packet: &BfdPacket| (packet.diagnostic, packet.header.state, packet.header.peer_discr);
    assert_eq!(said(&sent[0].1), (Diagnostic::DetectionTimeExpired, State::Down, 99));
    assert_eq!(said(&sent.last().unwrap().1), (Diagnostic::DetectionTimeExpired, State::Down, 0));
}

#[test]
fn a_down_that_names_nobody_takes_an_up_session_down_by_its_addresses() {
    let mut bench = Bench::up();
    let packet = BfdPacket { diagnostic: Diagnostic::DetectionTimeExpired, ..bench.packet(State::Down) };
    bench.hear(BfdPacket { header: Header { peer_discr: 0, ..packet.header }, ..packet });
    let session = bench.session();
    assert_eq!((session.state(), session.last_down_reason()), (State::Down, DownReason::RemoteDown));
    assert_eq!(session.specifics().local_diag(), Diagnostic::NeighbourSignalledDown);
    assert_eq!(session.specifics().remote_diag(), Diagnostic::DetectionTimeExpired);
}

#[test]
fn a_received_admin_down_is_answered_with_down_and_diagnostic_3_and_the_session_comes_up_again() {
    let mut bench = Bench::up();
    bench.run_with(100 * MS, bench.packet(State::Up));
    bench.hear(BfdPacket { diagnostic: Diagnostic::AdministrativelyDown, ..bench.packet(State::AdminDown) });
    let sent = bench.run(50 * MS);
    assert_eq!((sent.len(), sent[0].1.header.state), (1, State::Down));
    assert_eq!(sent[0].1.diagnostic, Diagnostic::NeighbourSignalledDown);
    bench.come_up();
    let session = bench.session();
    assert_eq!(
        (session.specifics().local_diag(), session.specifics().remote_diag()),
        (Diagnostic::None, Diagnostic::None)
    );
}

#[test]
fn admin_down_is_said_for_the_detection_time_of_the_peer_and_more_than_once() {
    let mut bench = Bench::up();
    bench.engine.admin_down(bench.now, ID);
    let sent = bench.run(60_000 * MS);
    assert!((3..=4).contains(&sent.len()), "{sent:?}");
    for (_, packet) in &sent {
        assert_eq!((packet.header.state, packet.diagnostic), (State::AdminDown, Diagnostic::AdministrativelyDown));
        assert!(packet.header.desired_min_tx_us >= 1_000_000);
    }
    bench.engine.admin_up(bench.now, ID);
    assert_eq!(bench.run(MS).len(), 1, "the session is back in service");
    bench.come_up();
}

#[test]
fn a_peer_that_restarted_is_known_by_its_new_discriminator() {
    let mut bench = Bench::up();
    let mut packet = bench.packet(State::Down);
    (packet.header.local_discr, packet.header.peer_discr) = (77, 0);
    bench.hear(packet);
    assert_eq!((bench.state(), bench.session().peer().discr), (State::Down, 77));
    bench.hear(packet);
    assert_eq!(bench.state(), State::Init);
}

#[test]
fn a_peer_that_a_down_session_hears_without_a_change_of_state_is_forgotten_after_a_detection_time_of_silence() {
    for received in [State::Up, State::AdminDown] {
        let mut bench = Bench::new(BfdOptions::default());
        bench.hear(bench.packet(received));
        assert_eq!((bench.state(), bench.session().peer().discr), (State::Down, 99));
        let sent = bench.run(5_000 * MS);
        assert_eq!(sent.last().unwrap().1.header.peer_discr, 0, "{received:?}");
    }
}

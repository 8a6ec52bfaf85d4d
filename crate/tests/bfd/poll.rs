//! Poll and Final (RFC 5880 §6.5, §6.8.3, §6.8.7).

use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::bfd::poll::Poll;
use route_liveness::protocol::bfd::{options::BfdOptions, options::Role};
use route_liveness::protocol::state::State;
use route_liveness::protocol::timers::Timers;

use crate::peer::{Bench, ID, MS, gaps, timers};

#[test]
fn a_session_that_comes_up_polls_until_the_final_comes() {
    let mut bench = Bench::new(BfdOptions::default());
    assert!(bench.run(MS).iter().all(|(_, packet)| !packet.poll), "there is no Poll in Down");
    bench.hear(bench.packet(State::Init));
    let sent = bench.run_with(500 * MS, bench.packet(State::Up));
    assert!(sent.len() >= 9 && sent.iter().all(|(_, packet)| packet.poll && !packet.is_final), "{sent:?}");
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    let sent = bench.run_with(500 * MS, bench.packet(State::Up));
    assert!(sent.len() >= 9 && sent.iter().all(|(_, packet)| !packet.poll));
}

#[test]
fn a_poll_is_answered_with_one_final_at_once_in_every_state_but_admin_down() {
    let mut bench = Bench::new(BfdOptions::default());
    for (received, state) in [(State::Up, State::Down), (State::Down, State::Init), (State::Init, State::Up)] {
        let sent = bench.hear(BfdPacket { poll: true, ..bench.packet(received) });
        assert_eq!(bench.state(), state);
        let [answer] = sent[..] else { panic!("one answer in {state:?}: {sent:?}") };
        assert!(answer.is_final && !answer.poll, "{answer:?}");
        assert_eq!((answer.header.state, answer.header.peer_discr), (state, 99));
    }
    assert_ne!(bench.session().specifics().poll(), Poll::Idle, "our own Poll goes on");
    bench.engine.admin_down(bench.now, ID);
    assert!(bench.hear(BfdPacket { poll: true, ..bench.packet(State::Up) }).is_empty());
}

#[test]
fn a_final_moves_no_periodic_packet() {
    let mut bench = Bench::up();
    bench.run_with(200 * MS, bench.packet(State::Up));
    let due = bench.session().next_tx();
    assert_eq!(bench.hear(BfdPacket { poll: true, ..bench.packet(State::Up) }).len(), 1);
    assert_eq!(bench.session().next_tx(), due);
}

#[test]
fn a_slower_transmit_interval_counts_only_after_the_final() {
    let mut bench = Bench::up();
    let slow = Timers { tx_min_us: 400_000, ..timers(50, 3) };
    bench.engine.update_session(bench.now, ID, slow, 3784);
    let sent = bench.run_with(2_000 * MS, bench.packet(State::Up));
    assert!(gaps(&sent).iter().all(|us| *us <= 50 * MS), "the peer has not answered");
    assert!(sent.iter().all(|(_, packet)| packet.poll && packet.header.desired_min_tx_us == 400_000));
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    let sent = bench.run_with(4_000 * MS, bench.packet(State::Up));
    assert!(gaps(&sent).iter().skip(1).all(|us| (300 * MS..=400 * MS).contains(us)), "{:?}", gaps(&sent));
}

#[test]
fn a_faster_transmit_interval_counts_at_once() {
    let mut bench = Bench::new(BfdOptions::default());
    bench.engine.update_session(bench.now, ID, timers(500, 3), 3784);
    bench.come_up();
    bench.run_with(1_000 * MS, bench.packet(State::Up));
    let asked = bench.now;
    bench.engine.update_session(bench.now, ID, timers(50, 3), 3784);
    let sent = bench.run_with(300 * MS, bench.packet(State::Up));
    assert!(sent[0].0.since(asked) <= 50 * MS, "the next packet leaves within the new interval");
    assert!(gaps(&sent).iter().all(|us| *us <= 50 * MS), "{:?}", gaps(&sent));
}

#[test]
fn a_faster_receive_interval_counts_only_after_the_final_and_a_slower_one_at_once() {
    let mut bench = Bench::up();
    bench.engine.update_session(bench.now, ID, Timers { rx_min_us: 200_000, ..timers(50, 3) }, 3784);
    assert_eq!(bench.session().detect_time_us(), 600_000);
    bench.run(MS);
    bench.run_with(100 * MS, bench.packet(State::Up));
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    bench.engine.update_session(bench.now, ID, timers(50, 3), 3784);
    bench.run_with(1_000 * MS, bench.packet(State::Up));
    assert_eq!(bench.session().detect_time_us(), 600_000, "the peer has not answered");
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    assert_eq!(bench.session().detect_time_us(), 150_000);
    bench.run(151 * MS);
    assert_eq!(bench.state(), State::Down);
}

#[test]
fn a_change_during_a_poll_is_agreed_by_a_second_poll() {
    let mut bench = Bench::up();
    let slower = |tx_min_us| Timers { tx_min_us, ..timers(50, 3) };
    bench.engine.update_session(bench.now, ID, slower(100_000), 3784);
    bench.run_with(100 * MS, bench.packet(State::Up));
    bench.engine.update_session(bench.now, ID, slower(400_000), 3784);
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    assert_eq!(bench.session().tx_interval_us(), 50_000, "the Final answers the first Poll");
    bench.run_with(100 * MS, bench.packet(State::Up));
    bench.hear(BfdPacket { is_final: true, ..bench.packet(State::Up) });
    assert_eq!((bench.session().tx_interval_us(), bench.session().specifics().poll()), (400_000, Poll::Idle));
}

#[test]
fn a_poll_and_the_timers_before_it_end_when_the_session_goes_down() {
    let mut bench = Bench::up();
    bench.engine.update_session(bench.now, ID, Timers { tx_min_us: 400_000, ..timers(50, 3) }, 3784);
    bench.hear(bench.packet(State::Down));
    assert_eq!((bench.session().tx_interval_us(), bench.session().specifics().poll()), (400_000, Poll::Idle));
}

#[test]
fn a_peer_that_requires_no_packets_gets_finals_and_announcements_only_until_it_requires_some() {
    let mut bench = Bench::up();
    let mut silent = bench.packet(State::Up);
    silent.header.required_min_rx_us = 0;
    assert!(bench.run_with(1_000 * MS, silent).is_empty());
    assert_eq!(bench.hear(BfdPacket { poll: true, ..silent }).len(), 1, "a Poll is answered");
    assert!(!bench.run_with(100 * MS, bench.packet(State::Up)).is_empty(), "periodic packets begin again");
    bench.hear(silent);
    let sent = bench.run(1_000 * MS);
    assert_eq!(bench.state(), State::Down);
    let [(_, down)] = sent[..] else { panic!("one announcement: {sent:?}") };
    assert_eq!(down.header.state, State::Down);
}

#[test]
fn a_peer_in_demand_mode_gets_no_periodic_packets_while_both_are_up_but_a_poll() {
    let mut bench = Bench::up();
    let demand = BfdPacket { demand: true, ..bench.packet(State::Up) };
    assert!(bench.run_with(1_000 * MS, demand).is_empty());
    bench.engine.update_session(bench.now, ID, timers(100, 3), 3784);
    let sent = bench.run_with(1_000 * MS, demand);
    assert!(sent.len() >= 9 && sent.iter().all(|(_, packet)| packet.poll && !packet.demand), "{sent:?}");
    bench.hear(BfdPacket { is_final: true, ..demand });
    assert!(bench.run_with(1_000 * MS, demand).is_empty());
    let init = BfdPacket { demand: true, ..bench.packet(State::Init) };
    assert!(!bench.run_with(200 * MS, init).is_empty(), "the peer is not Up");
}

#[test]
fn a_passive_session_sends_nothing_until_it_hears_the_peer_and_after_it_forgot_it() {
    let mut bench = Bench::new(BfdOptions { role: Role::Passive, ..BfdOptions::default() });
    assert!(bench.run(10_000 * MS).is_empty());
    bench.hear(bench.packet(State::Down));
    let sent = bench.run(MS);
    assert_eq!((sent.len(), sent[0].1.header.state), (1, State::Init));
    bench.come_up();
    let sent = bench.run(20_000 * MS);
    assert_eq!((bench.state(), sent.last().unwrap().1.header.peer_discr), (State::Down, 99));
    assert!(bench.run(10_000 * MS).is_empty());
}

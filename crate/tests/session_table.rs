//! The state table and the rule sets, row by row.

use std::sync::Arc;

use route_liveness::protocol::jitter::Xorshift32;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{REFERENCE, ROBUST, Rules};
use route_liveness::protocol::session::{RxOutcome, Session};
use route_liveness::protocol::state::{DownReason, State};
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::protocol::transition::IgnoreReason;

use State::{AdminDown, Down, Init, Up};

const OURS: u32 = 0x0A;
const PEER: u32 = 0x0B;
const NEW_LIFE: u32 = 0x0C;
const NOBODY: u32 = 0xDEAD;

const INTERVAL_US: u64 = 100_000;
const DETECT_US: u64 = 3 * INTERVAL_US;
const BOTH: [&Rules; 2] = [&REFERENCE, &ROBUST];

fn at(us: u64) -> Time {
    Time::from_micros(1_000_000 + us)
}

fn policy(rules: &'static Rules) -> Arc<Policy> {
    Arc::new(policy_of(rules))
}

fn policy_of(rules: &'static Rules) -> Policy {
    Policy {
        rules,
        min_tx_floor_us: 50_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    }
}

const TIMERS: Timers = Timers { tx_min_us: 100_000, rx_min_us: 100_000, detect_mult: 3 };

fn new_session(rules: &'static Rules) -> Session {
    Session::new(policy(rules), TIMERS, OURS, at(0), at(0))
}

fn packet(state: State, local_discr: u32, peer_discr: u32) -> ControlPacket {
    ControlPacket {
        state,
        detect_mult: 3,
        local_discr,
        peer_discr,
        desired_min_tx_us: 100_000,
        required_min_rx_us: 100_000,
        passive: false,
        client_version: [0; 4],
    }
}

/// A session in the given state that has learned `PEER`, unless the state is AdminDown.
fn session_in(rules: &'static Rules, state: State) -> Session {
    let mut session = new_session(rules);
    match state {
        AdminDown => {
            session.admin_down(at(0));
        }
        Down => {
            session.handle_rx(at(0), &packet(Down, PEER, 0));
            session.expire_if_due(at(10_000_000));
        }
        Init => {
            session.handle_rx(at(0), &packet(Down, PEER, 0));
        }
        Up => {
            session.handle_rx(at(0), &packet(Init, PEER, OURS));
        }
    }
    assert_eq!(session.state(), state);
    session
}

/// Later than every window that a state change opens, and before the session forgets the peer.
fn outcomes(session: &Session) -> Time {
    match session.state() {
        Down => at(10_000_000 + DETECT_US - 1),
        _ => at(DETECT_US),
    }
}

#[test]
fn a_session_follows_every_row_of_the_state_table() {
    // now, received, peerDiscr, next state under the reference's rules, under the robust ones
    #[rustfmt::skip]
    let table = [
        (AdminDown, AdminDown, OURS, AdminDown, AdminDown),
        (AdminDown, Down,      OURS, AdminDown, AdminDown),
        (AdminDown, Init,      OURS, AdminDown, AdminDown),
        (AdminDown, Up,        OURS, AdminDown, AdminDown),
        (Down,      AdminDown, OURS, Down,      Down),
        (Down,      AdminDown, 0,    Down,      Down),
        (Down,      Down,      OURS, Init,      Init),
        (Down,      Down,      0,    Init,      Init),
        (Down,      Init,      OURS, Up,        Up),
        (Down,      Init,      0,    Init,      Init),
        (Down,      Up,        OURS, Up,        Up),
        (Down,      Up,        0,    Init,      Init),
        (Init,      AdminDown, OURS, Down,      Down),
        (Init,      AdminDown, 0,    Down,      Down),
        (Init,      Down,      OURS, Down,      Init),
        (Init,      Down,      0,    Down,      Init),
        (Init,      Init,      OURS, Up,        Up),
        (Init,      Init,      0,    Init,      Init),
        (Init,      Up,        OURS, Up,        Up),
        (Init,      Up,        0,    Init,      Init),
        (Up,        AdminDown, OURS, Down,      Down),
        (Up,        AdminDown, 0,    Down,      Down),
        (Up,        Down,      OURS, Down,      Down),
        (Up,        Down,      0,    Down,      Down),
        (Up,        Init,      OURS, Up,        Up),
        (Up,        Init,      0,    Up,        Up),
        (Up,        Up,        OURS, Up,        Up),
        (Up,        Up,        0,    Up,        Up),
    ];
    for (now, received, peer_discr, reference, robust) in table {
        for (rules, next) in BOTH.into_iter().zip([reference, robust]) {
            let mut session = session_in(rules, now);
            let cell = format!("{}: {now:?} hears {received:?} with peerDiscr {peer_discr:#x}", rules.name);
            let arrival = outcomes(&session);
            let heard = session.handle_rx(arrival, &packet(received, PEER, peer_discr));
            assert_eq!(session.state(), next, "{cell}");
            let expected = match now {
                AdminDown => RxOutcome::Ignored(IgnoreReason::AdminDown),
                _ if now == next => RxOutcome::Accepted,
                _ => RxOutcome::Changed(now),
            };
            assert_eq!(heard, expected, "{cell}");
            assert_eq!(session.detect_deadline().is_some(), matches!(next, Init | Up), "{cell}: detection");
            if now != AdminDown {
                assert_eq!(session.last_rx(), Some(arrival), "{cell}: lastRx");
            }
        }
    }
}

#[test]
fn each_cause_of_a_down_has_its_reason() {
    for rules in BOTH {
        let mut session = session_in(rules, Up);
        assert_eq!(session.last_down_reason(), DownReason::None);
        session.handle_rx(outcomes(&session), &packet(AdminDown, PEER, OURS));
        assert_eq!(session.last_down_reason(), DownReason::RemoteAdmin);

        let mut session = session_in(rules, Up);
        session.handle_rx(outcomes(&session), &packet(Down, PEER, OURS));
        assert_eq!(session.last_down_reason(), DownReason::RemoteDown);

        let mut session = session_in(rules, Up);
        assert!(session.expire_if_due(at(DETECT_US)));
        assert_eq!(session.last_down_reason(), DownReason::Timeout);

        let mut session = session_in(rules, Down);
        session.handle_rx(outcomes(&session), &packet(AdminDown, PEER, 0));
        assert_eq!(session.last_down_reason(), DownReason::RemoteAdmin, "also when it was Down before");

        let mut session = session_in(rules, Up);
        assert!(session.admin_down(at(1)));
        assert_eq!(session.last_down_reason(), DownReason::LocalAdmin);
        assert!(!session.admin_down(at(2)), "it is AdminDown already");
    }
}

#[test]
fn a_session_counts_how_often_it_left_up_and_keeps_the_longest_gap_between_packets_since_it_came_up() {
    for rules in BOTH {
        let mut session = session_in(rules, Init);
        assert_eq!((session.was_up(), session.flaps(), session.worst_gap_ms()), (false, 0, None));
        let mut now = outcomes(&session);
        session.handle_rx(now, &packet(Up, PEER, OURS));
        assert_eq!(
            (session.was_up(), session.worst_gap_ms()),
            (true, Some(0)),
            "the wait for the Up itself is no gap of it"
        );
        for (gap_us, worst_ms) in [(99_000, 99), (150_001, 151), (120_000, 151)] {
            now = now.plus(gap_us);
            session.handle_rx(now, &packet(Up, PEER, OURS));
            assert_eq!(session.worst_gap_ms(), Some(worst_ms));
        }
        now = now.plus(DETECT_US);
        assert!(session.expire_if_due(now));
        assert_eq!((session.was_up(), session.flaps(), session.worst_gap_ms()), (true, 1, Some(151)));
        for state in [Down, Up] {
            now = now.plus(400_000);
            session.handle_rx(now, &packet(state, PEER, OURS));
        }
        assert_eq!((session.state(), session.flaps(), session.worst_gap_ms()), (Up, 1, Some(0)));
        assert!(session.admin_down(now));
        assert_eq!(session.flaps(), 2);
    }
}

#[test]
fn a_packet_with_a_foreign_discriminator_is_dropped_before_any_other_rule() {
    for rules in BOTH {
        for state in [Down, Init, Up] {
            for received in State::ALL {
                let mut session = session_in(rules, state);
                let before = (session.detect_deadline(), session.last_rx());
                let mut foreign = packet(received, PEER, NOBODY);
                foreign.desired_min_tx_us = 900_000;
                let heard = session.handle_rx(outcomes(&session), &foreign);
                assert_eq!(
                    heard,
                    RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator),
                    "{} {state:?} {received:?}",
                    rules.name
                );
                assert_eq!((session.detect_deadline(), session.last_rx()), before);
                assert_eq!((session.state(), session.detect_time_us()), (state, DETECT_US));
            }
        }
    }
}

#[test]
fn a_robust_session_that_knows_no_peer_accepts_a_peer_that_remembers_its_predecessor() {
    for received in [Down, Init, Up] {
        let mut robust = new_session(&ROBUST);
        assert_eq!(robust.handle_rx(at(1), &packet(received, PEER, NOBODY)), RxOutcome::Changed(Down));
        assert_eq!((robust.state(), robust.peer().discr), (Init, PEER), "{received:?} is taken for a Down");

        let mut reference = new_session(&REFERENCE);
        let heard = reference.handle_rx(at(1), &packet(received, PEER, NOBODY));
        assert_eq!(heard, RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator));
    }
    let mut robust = new_session(&ROBUST);
    let heard = robust.handle_rx(at(1), &packet(AdminDown, PEER, NOBODY));
    assert_eq!(heard, RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator), "AdminDown has to name us or nobody");

    let mut robust = new_session(&ROBUST);
    robust.handle_rx(at(1), &packet(Down, 0, 0));
    assert_eq!((robust.state(), robust.peer().discr), (Init, 0));
    let heard = robust.handle_rx(at(2), &packet(Up, PEER, NOBODY));
    assert_eq!(heard, RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator), "strangers are heard in Down only");
}

#[test]
fn the_reference_learns_the_first_discriminator_and_relearns_only_while_up() {
    let mut session = session_in(&REFERENCE, Init);
    session.handle_rx(at(1), &packet(Init, NEW_LIFE, 0));
    assert_eq!(session.peer().discr, PEER, "in Init the first one stays");

    let mut session = session_in(&REFERENCE, Up);
    session.handle_rx(at(1), &packet(Up, NEW_LIFE, 0));
    assert_eq!(session.peer().discr, NEW_LIFE, "in Up it follows");

    let mut session = session_in(&REFERENCE, Up);
    session.handle_rx(outcomes(&session), &packet(Down, NEW_LIFE, 0));
    assert_eq!((session.state(), session.peer().discr), (Down, PEER), "the Down that takes it Down teaches nothing");
    session.handle_rx(outcomes(&session), &packet(Down, NEW_LIFE, 0));
    assert_eq!(session.peer().discr, PEER, "nor does what follows: this is where it sticks");

    let mut session = session_in(&REFERENCE, Up);
    session.handle_rx(at(1), &packet(AdminDown, PEER, OURS));
    assert_eq!(session.peer().discr, PEER, "AdminDown clears nothing");
}

#[test]
fn a_robust_session_learns_from_every_packet_that_it_accepts() {
    for received in [Down, Init, Up] {
        for state in [Down, Init] {
            let mut session = session_in(&ROBUST, state);
            session.handle_rx(outcomes(&session), &packet(received, NEW_LIFE, 0));
            assert_eq!(session.peer().discr, NEW_LIFE, "{state:?} hears {received:?}");
        }
    }
    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(outcomes(&session), &packet(Up, NEW_LIFE, OURS));
    assert_eq!(session.peer().discr, NEW_LIFE, "in Up from a packet that is ours");

    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(outcomes(&session), &packet(Up, NEW_LIFE, 0));
    assert_eq!(session.peer().discr, PEER, "but not in Up from one that is not");

    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(outcomes(&session), &packet(Down, NEW_LIFE, 0));
    assert_eq!((session.state(), session.peer().discr), (Down, NEW_LIFE), "also the Down that takes it Down");

    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(at(1), &packet(Down, NEW_LIFE, OURS));
    assert_eq!((session.state(), session.peer().discr), (Up, PEER), "not from an ignored stale Down");

    for state in [Down, Init, Up] {
        let mut session = session_in(&ROBUST, state);
        session.handle_rx(outcomes(&session), &packet(AdminDown, PEER, 0));
        assert_eq!(session.peer().discr, 0, "AdminDown in {state:?} clears it");
    }
}

#[test]
fn a_peer_that_stays_silent_is_forgotten_only_under_robust_rules_and_only_after_a_second_detection_time() {
    for (rules, remembered) in [(&REFERENCE, PEER), (&ROBUST, 0)] {
        let mut session = session_in(rules, Up);
        assert!(session.expire_if_due(at(DETECT_US)));
        assert_eq!(session.packet(at(2 * DETECT_US - 1)).peer_discr, PEER, "{}: not yet", rules.name);
        assert_eq!(session.packet(at(2 * DETECT_US)).peer_discr, remembered, "{}", rules.name);
    }
    let mut session = session_in(&ROBUST, Up);
    session.expire_if_due(at(DETECT_US));
    session.handle_rx(at(2 * DETECT_US - 1), &packet(Down, PEER, 0));
    assert_eq!(session.packet(at(9 * DETECT_US)).peer_discr, PEER, "a peer that was heard is not forgotten");
}

#[test]
fn a_forgotten_peer_may_come_back_with_a_new_discriminator() {
    let mut session = session_in(&ROBUST, Up);
    session.expire_if_due(at(DETECT_US));
    let heard = session.handle_rx(at(2 * DETECT_US), &packet(Up, PEER, NOBODY));
    assert_eq!(heard, RxOutcome::Changed(Down), "known to nobody and knowing nobody, it hears strangers");
    assert_eq!(session.state(), Init);
}

#[test]
fn a_stale_down_changes_nothing_and_refreshes_nothing() {
    for rules in BOTH {
        let mut session = session_in(rules, Up);
        let before = (session.detect_deadline(), session.last_rx());
        let heard = session.handle_rx(at(DETECT_US - 1), &packet(Down, PEER, OURS));
        assert_eq!(heard, RxOutcome::Ignored(IgnoreReason::StaleDown), "{}", rules.name);
        assert_eq!((session.detect_deadline(), session.last_rx()), before, "{}", rules.name);
        let heard = session.handle_rx(at(DETECT_US), &packet(Down, PEER, OURS));
        assert_eq!(heard, RxOutcome::Changed(Up), "{}: one detection time later it is meant", rules.name);
    }
}

#[test]
fn init_waits_for_a_slow_handshake_under_robust_rules() {
    let deadline = |rules: &'static Rules| session_in(rules, Init).detect_deadline();
    assert_eq!(deadline(&REFERENCE), Some(at(DETECT_US)));
    assert_eq!(deadline(&ROBUST), Some(at(3_300_000)));

    let mut slow = new_session(&ROBUST);
    slow.set_timers(at(0), Timers { detect_mult: 40, ..TIMERS });
    slow.handle_rx(at(0), &packet(Down, PEER, 0));
    assert_eq!(slow.detect_deadline(), Some(at(4_000_000)), "a longer detection time counts");

    assert_eq!(session_in(&ROBUST, Up).detect_deadline(), Some(at(DETECT_US)), "Up waits for nobody");
}

#[test]
fn init_outlasts_three_of_our_own_packets_under_robust_rules() {
    let policy = Policy { max_tx_ceil_us: 5_000_000, ..policy_of(&ROBUST) };
    let slow = Timers { tx_min_us: 2_500_000, rx_min_us: 100_000, detect_mult: 3 };
    let mut session = Session::new(Arc::new(policy), slow, OURS, at(0), at(0));
    session.handle_rx(at(0), &packet(Down, PEER, 0));
    assert_eq!(
        session.detect_deadline(),
        Some(at(8_250_000)),
        "the peer may answer the second, and the first may be a third late"
    );
}

#[test]
fn a_slower_peer_is_followed_under_robust_rules_and_clamped_by_the_reference() {
    let heard = |rules: &'static Rules, interval_us: u32| {
        let mut session = new_session(rules);
        let mut slow = packet(Init, PEER, OURS);
        slow.desired_min_tx_us = interval_us;
        let heard = session.handle_rx(at(0), &slow);
        (heard, session.detect_time_us())
    };
    assert_eq!(heard(&REFERENCE, 5_000_000), (RxOutcome::Changed(Down), 3_000_000));
    assert_eq!(heard(&ROBUST, 5_000_000), (RxOutcome::Changed(Down), 15_000_000));
    assert_eq!(heard(&ROBUST, 60_000_000), (RxOutcome::Changed(Down), 180_000_000));
    assert_eq!(heard(&ROBUST, 60_000_001), (RxOutcome::Ignored(IgnoreReason::Interval), DETECT_US));
    assert_eq!(heard(&REFERENCE, u32::MAX), (RxOutcome::Changed(Down), 3_000_000));
}

#[test]
fn intervals_are_agreed_and_clamped() {
    for rules in BOTH {
        let agreed = |tx_us: u32, rx_us: u32, own: Timers| {
            let mut session = Session::new(policy(rules), own, OURS, at(0), at(0));
            let mut wishes = packet(Init, PEER, OURS);
            (wishes.desired_min_tx_us, wishes.required_min_rx_us) = (tx_us, rx_us);
            session.handle_rx(at(0), &wishes);
            (session.tx_interval_us(), session.rx_interval_us())
        };
        assert_eq!(agreed(100_000, 100_000, TIMERS), (100_000, 100_000), "{}", rules.name);
        assert_eq!(agreed(200_000, 300_000, TIMERS), (300_000, 200_000), "{}: the slower desired counts", rules.name);
        assert_eq!(agreed(60_000, 70_000, TIMERS), (100_000, 100_000), "{}: also if it is ours", rules.name);
        let hasty = Timers { tx_min_us: 1_000, rx_min_us: 2_000, detect_mult: 3 };
        assert_eq!(agreed(0, 0, hasty), (50_000, 50_000), "{}: nothing goes below the floor", rules.name);
        let unheard = Session::new(policy(rules), hasty, OURS, at(0), at(0));
        let intervals = (unheard.tx_interval_us(), unheard.rx_interval_us());
        assert_eq!(intervals, (50_000, 50_000), "{}: nor before a packet", rules.name);
        let slow = Timers { tx_min_us: 30_000_000, rx_min_us: 30_000_000, detect_mult: 3 };
        let followed = if rules.accepts_slower_peers { 30_000_000 } else { 1_000_000 };
        assert_eq!(agreed(0, 0, slow), (1_000_000, followed), "{}: only robust rules go above the ceiling", rules.name);
        assert_eq!(agreed(0, u32::MAX, TIMERS).0, 1_000_000, "{}: our rate stays below the ceiling", rules.name);
    }
}

#[test]
fn the_detection_time_is_our_own_multiplier_times_the_agreed_interval() {
    let own = Timers { detect_mult: 5, ..TIMERS };
    let mut session = Session::new(policy(&ROBUST), own, OURS, at(0), at(0));
    let mut theirs = packet(Init, PEER, OURS);
    (theirs.detect_mult, theirs.desired_min_tx_us) = (9, 200_000);
    session.handle_rx(at(0), &theirs);
    assert_eq!(session.detect_time_us(), 1_000_000);
    assert_eq!(session.detect_deadline(), Some(at(1_000_000)));
}

#[test]
fn the_advertised_intervals_are_the_used_ones() {
    let own = Timers { tx_min_us: 10, rx_min_us: 30_000_000, detect_mult: 7 };
    let mut session = Session::new(policy(&ROBUST), own, OURS, at(0), at(0));
    session.handle_rx(at(0), &packet(Down, PEER, 0));
    let packet = session.packet(at(1));
    assert_eq!((packet.desired_min_tx_us, packet.required_min_rx_us), (50_000, 1_000_000));
    assert_eq!((packet.state, packet.detect_mult), (Init, 7));
    assert_eq!((packet.local_discr, packet.peer_discr), (OURS, PEER));
    assert_eq!((packet.passive, packet.client_version), (false, [0; 4]));
}

#[test]
fn transmits_back_off_while_down_and_only_then() {
    let mut random = Xorshift32::new(1);
    let mut session = new_session(&ROBUST);
    let mut expect = |session: &mut Session, interval_us: u64, when: &str| {
        let next = session.compute_next_tx(at(0), &mut random).expect("a session in service sends");
        let gap = next.since(at(0));
        assert!(
            (interval_us * 9 / 10..=interval_us * 11 / 10).contains(&gap),
            "{when}: {gap} is not about {interval_us}"
        );
    };
    for factor in [1, 2, 4, 8] {
        expect(&mut session, factor * INTERVAL_US, "Down");
    }
    expect(&mut session, 1_000_000, "at the ceiling");
    expect(&mut session, 1_000_000, "and no further");
    session.handle_rx(at(0), &packet(Down, PEER, 0));
    expect(&mut session, INTERVAL_US, "Init");
    expect(&mut session, INTERVAL_US, "still Init");
    session.handle_rx(at(0), &packet(Init, PEER, OURS));
    expect(&mut session, INTERVAL_US, "Up");
    session.expire_if_due(at(DETECT_US));
    expect(&mut session, INTERVAL_US, "Down again starts anew");
    expect(&mut session, 2 * INTERVAL_US, "and doubles");
}

#[test]
fn an_announcement_is_due_at_once_but_not_sooner_than_one_interval_after_the_last_packet() {
    let mut random = Xorshift32::new(1);
    let mut session = new_session(&ROBUST);
    for _ in 0..6 {
        session.compute_next_tx(at(0), &mut random);
    }
    assert!(session.next_tx() > Some(at(800_000)), "backed off");
    session.handle_rx(at(30_000), &packet(Down, PEER, 0));
    assert_eq!(session.announce(at(30_000)), at(INTERVAL_US));
    assert_eq!(session.announce(at(500_000)), at(INTERVAL_US), "a transmit that is due sooner stays");
    session.compute_next_tx(at(500_000), &mut random);
    assert_eq!(
        session.announce(at(900_000)),
        session.next_tx().expect("in service"),
        "an announcement does not postpone an earlier transmit"
    );
}

#[test]
fn admin_down_is_sent_for_one_detection_time_and_then_nothing() {
    let mut random = Xorshift32::new(1);
    let mut session = session_in(&ROBUST, Up);
    session.admin_down(at(0));
    let mut said = Vec::new();
    let mut due = Some(session.announce(at(0)));
    while let Some(now) = due {
        assert_eq!(session.packet(now).state, AdminDown);
        said.push(now);
        due = session.compute_next_tx(now, &mut random);
    }
    assert_eq!(said[0], at(0));
    assert!((3..=4).contains(&said.len()), "about one per interval, got {}", said.len());
    assert!(said.iter().all(|time| *time <= at(DETECT_US)));
    assert_eq!(session.next_tx(), None);

    assert!(session.admin_up(at(5_000_000)));
    assert_eq!((session.state(), session.announce(at(5_000_000))), (Down, at(5_000_000)), "back in service it sends");
    assert!(!session.admin_up(at(5_000_001)));
}

#[test]
fn silence_counts_from_the_latest_arrival_even_if_an_older_one_is_read_later() {
    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(at(200_000), &packet(Up, PEER, OURS));
    session.handle_rx(at(150_000), &packet(Up, PEER, OURS));
    assert_eq!(session.last_rx(), Some(at(200_000)));
    assert_eq!(session.detect_deadline(), Some(at(200_000 + DETECT_US)));
}

#[test]
fn convergence_starts_are_the_first_packet_and_the_first_missing_one() {
    let mut session = new_session(&ROBUST);
    session.handle_rx(at(7), &packet(AdminDown, PEER, 0));
    assert_eq!(session.timestamps().conv_up_start, None, "AdminDown is no beginning");
    session.handle_rx(at(10), &packet(Down, PEER, 0));
    session.handle_rx(at(20), &packet(Init, PEER, OURS));
    assert_eq!(session.timestamps().conv_up_start, Some(at(10)));
    assert_eq!(session.timestamps().up_since, Some(at(20)));

    session.expire_if_due(at(20 + DETECT_US));
    assert_eq!(session.timestamps().conv_down_start, Some(at(20 + INTERVAL_US)));
    assert_eq!(session.timestamps().down_since, Some(at(20 + DETECT_US)));

    let mut session = session_in(&ROBUST, Up);
    session.handle_rx(at(DETECT_US), &packet(Down, PEER, OURS));
    assert_eq!(session.timestamps().conv_down_start, Some(at(DETECT_US)), "one that was told is counted from there");
}

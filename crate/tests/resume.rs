//! Sessions that outlive their process: a successor goes on with what the state file says, and the peer notices nothing.

mod support;

use route_liveness::engine::state_record::StateRecord;
use route_liveness::engine::stats::TransitionCause;
use route_liveness::engine::{Datagram, Engine, Path, ResumeError, SessionId, SessionSpec, Transition};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::ROBUST;
use route_liveness::protocol::saved_session::SavedSession;
use route_liveness::protocol::state::{DownReason, State};
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use support::{MS, SECOND, at, path, policy, timers};

/// A host and its peer, which hear each other at once.
struct Pair<P: Protocol> {
    rules: fn() -> Policy<P>,
    now: Time,
    ours: Engine<P>,
    peers: Engine<P>,
    /// What the peer's session went through.
    seen: Vec<Transition>,
    sent_by_us: Vec<Time>,
    /// What we send is lost.
    is_cut: bool,
    /// What the peer sends is lost.
    hears_nothing: bool,
}

fn of_path<P: Protocol>(id: u32, path: Path, timers: Timers) -> SessionSpec {
    SessionSpec { id: SessionId(id), path, peer_port: P::PORT, timers, min_ttl: None }
}

fn liveness_policy() -> Policy<Liveness> {
    policy(&ROBUST)
}

fn bfd_policy() -> Policy<Bfd> {
    let Policy { min_tx_floor_us, max_tx_ceil_us, backoff_max_us, .. } = policy(&ROBUST);
    Policy {
        rules: &RFC5880,
        min_tx_floor_us,
        max_tx_ceil_us,
        backoff_max_us,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    }
}

impl<P: Protocol> Pair<P> {
    /// A pair that is Up.
    fn up(rules: fn() -> Policy<P>, timers: Timers) -> Self {
        Self::up_with(rules, [timers; 2])
    }

    /// A pair that is Up, with our timers and those of the peer.
    fn up_with(rules: fn() -> Policy<P>, [timers, theirs]: [Timers; 2]) -> Self {
        let engine = |seed| Engine::of_protocol(rules(), 10, seed).with_journal();
        let mut pair = Self {
            rules,
            now: at(SECOND),
            ours: engine(1),
            peers: engine(2),
            seen: Vec::new(),
            sent_by_us: Vec::new(),
            is_cut: false,
            hears_nothing: false,
        };
        pair.ours.add_session(pair.now, of_path::<P>(1, path(1, 2), timers), 11).unwrap();
        pair.peers.add_session(pair.now, of_path::<P>(1, path(2, 1), theirs), 22).unwrap();
        pair.run(5 * SECOND);
        assert_eq!(pair.states(), [State::Up, State::Up]);
        pair.seen.clear();
        pair
    }

    fn states(&self) -> [State; 2] {
        [&self.ours, &self.peers].map(|engine| engine.session(SessionId(1)).unwrap().0.state())
    }

    fn run(&mut self, duration_us: u64) {
        let end = self.now.plus(duration_us);
        while self.now < end {
            self.now = self.now.plus(MS);
            self.turn(true);
        }
    }

    /// Time in which our side does not run.
    fn run_peer_alone(&mut self, duration_us: u64) {
        let end = self.now.plus(duration_us);
        while self.now < end {
            self.now = self.now.plus(MS);
            self.turn(false);
        }
    }

    fn turn(&mut self, we_run: bool) {
        let now = self.now;
        loop {
            if we_run {
                self.ours.handle_timeout(now, now);
            }
            self.peers.handle_timeout(now, now);
            let mut is_quiet = true;
            while let Some(transmit) = self.peers.poll_transmit() {
                is_quiet = false;
                if we_run && !self.hears_nothing {
                    hand_over(&mut self.ours, now, path(1, 2), transmit.bytes.as_ref());
                }
            }
            while let Some(transmit) = self.ours.poll_transmit() {
                is_quiet = false;
                self.sent_by_us.push(now);
                if !self.is_cut {
                    hand_over(&mut self.peers, now, path(2, 1), transmit.bytes.as_ref());
                }
            }
            if is_quiet {
                break;
            }
        }
        self.seen.extend(transitions_of(&mut self.peers));
    }

    /// What the state file says of our session.
    fn record(&self) -> StateRecord {
        let continued = self.ours.continued(0).expect("a session that can be continued");
        let record = StateRecord::new(continued, "eth0".into(), false);
        StateRecord::decode(&record.encode().unwrap()).unwrap()
    }

    /// Our process ends, and a successor goes on after so long.
    fn restart(&mut self, pause_us: u64) -> Result<(), ResumeError> {
        let saved = self.record().saved;
        self.resume(pause_us, &saved)
    }

    fn resume(&mut self, pause_us: u64, saved: &SavedSession) -> Result<(), ResumeError> {
        self.run_peer_alone(pause_us);
        self.ours = Engine::of_protocol((self.rules)(), 10, 3).with_journal();
        let spec = of_path::<P>(u32::MAX, path(1, 2), saved.timers);
        self.ours.resume_session(self.now, pause_us, spec, P::Options::default(), saved)
    }

    fn claim(&mut self) -> Option<SessionId> {
        self.ours.claim_session(self.now, path(1, 2), SessionId(1), |id| id == SessionId(u32::MAX))
    }
}

fn hand_over<P: Protocol>(engine: &mut Engine<P>, now: Time, path: Path, bytes: &[u8]) {
    engine.handle_datagram(now, Datagram { arrival: now, path, ttl: Some(255), min_ttl: 0, bytes });
}

fn transitions_of<P: Protocol>(engine: &mut Engine<P>) -> Vec<Transition> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|event| match event {
            route_liveness::engine::Event::Transition(transition) => Some(transition),
            _ => None,
        })
        .collect()
}

fn restarts_within_the_detection_time_are_not_noticed<P: Protocol>(rules: fn() -> Policy<P>) {
    let mut pair = Pair::up(rules, timers(100, 3));
    for round in 0..50 {
        pair.run(SECOND + round * 7 * MS);
        pair.restart(180 * MS).unwrap();
        let resumed_at = pair.now;
        pair.sent_by_us.clear();
        pair.run(50 * MS);
        assert!(pair.sent_by_us[0].since(resumed_at) <= 10 * MS, "it sends before anybody registers");
        assert_eq!(pair.claim(), Some(SessionId(u32::MAX)));
        pair.run(SECOND);
        assert_eq!(pair.states(), [State::Up, State::Up], "round {round}");
    }
    assert_eq!(pair.seen, [], "the peer has seen no change of state");
}

#[test]
fn the_peer_of_a_session_that_goes_on_within_its_detection_time_sees_no_change_of_state() {
    restarts_within_the_detection_time_are_not_noticed::<Liveness>(liveness_policy);
    restarts_within_the_detection_time_are_not_noticed::<Bfd>(bfd_policy);
}

#[test]
fn a_registration_takes_the_session_as_it_is_and_hears_that_it_is_up() {
    let mut pair = Pair::<Liveness>::up(liveness_policy, timers(100, 3));
    let up_since = pair.ours.session(SessionId(1)).unwrap().0.timestamps().up_since;
    pair.restart(50 * MS).unwrap();
    assert_eq!(transitions_of(&mut pair.ours), [], "nobody has asked for it");
    assert!(pair.ours.claim_session(pair.now, path(1, 3), SessionId(1), |_| true).is_none(), "another path");
    pair.claim().unwrap();
    let told = transitions_of(&mut pair.ours);
    let [change] = &told[..] else { panic!("{told:?}") };
    assert_eq!((change.from, change.to, change.cause), (State::AdminDown, State::Up, TransitionCause::RegisterRoute));
    assert!(change.ever_up);
    let (session, _) = pair.ours.session(SessionId(1)).unwrap();
    assert_eq!((session.local_discr(), session.peer().discr), (11, 22), "the discriminators are those of before");
    assert_eq!(session.timestamps().up_since, up_since);
    assert!(pair.claim().is_none(), "it is taken once");
}

#[test]
fn silence_counts_from_the_start_of_the_successor_and_takes_the_session_down_after_the_detection_time() {
    let mut pair = Pair::<Liveness>::up(liveness_policy, timers(100, 3));
    pair.restart(100 * MS).unwrap();
    pair.claim().unwrap();
    transitions_of(&mut pair.ours);
    let began = pair.now;
    for (after_us, down) in [(299 * MS, false), (301 * MS, true)] {
        pair.ours.handle_timeout(began.plus(after_us), began.plus(after_us));
        let told = transitions_of(&mut pair.ours);
        assert_eq!(!told.is_empty(), down, "{after_us}");
        assert!(told.iter().all(|change| (change.to, change.reason) == (State::Down, DownReason::Timeout)));
    }
}

#[test]
fn a_session_whose_peer_waits_no_longer_does_not_go_on() {
    for (pause_us, goes_on) in [(299 * MS, true), (300 * MS, false)] {
        let mut pair = Pair::<Liveness>::up(liveness_policy, timers(100, 3));
        assert_eq!(pair.restart(pause_us).is_ok(), goes_on, "{pause_us}");
    }
    let mut engine = Engine::new(policy(&ROBUST), 10, 1).with_journal();
    engine.add_session(at(SECOND), support::spec(1, path(1, 2), timers(100, 3)), 5).unwrap();
    let saved = engine.continued(0).unwrap().saved;
    let mut next = Engine::new(policy(&ROBUST), 10, 1);
    let refused = next.resume_session(at(SECOND), 0, support::spec(9, path(1, 2), timers(100, 3)), (), &saved);
    assert_eq!(refused, Err(ResumeError::TooOld), "no peer was ever heard");
}

#[test]
fn a_session_that_was_down_for_long_comes_up_with_the_first_packet_of_its_successor_although_the_peer_has_restarted() {
    fn change<P: Protocol>(rules: fn() -> Policy<P>) {
        let mut pair = Pair::<P>::up(rules, timers(100, 3));
        pair.is_cut = true;
        pair.hears_nothing = true;
        pair.run(400 * MS);
        let saved = pair.record().saved;
        assert_eq!((saved.state, saved.peer_discr), (State::Down, 22));
        // Our session forgets the peer's discriminator, which is not written down, and the peer has another one.
        pair.run(10 * SECOND);
        pair.peers = Engine::of_protocol(rules(), 10, 4);
        pair.peers.add_session(pair.now, of_path::<P>(1, path(2, 1), timers(100, 3)), 33).unwrap();
        pair.resume(20 * MS, &saved).expect("a session in Down goes on");
        (pair.is_cut, pair.hears_nothing) = (false, false);
        pair.claim().unwrap();
        pair.run(2 * MS);
        assert_eq!(pair.peers.session(SessionId(1)).unwrap().0.state(), State::Init, "it has heard us");
    }
    change::<Liveness>(liveness_policy);
    change::<Bfd>(bfd_policy);
}

#[test]
fn other_timers_of_the_registration_are_a_change_of_timers_that_causes_no_down() {
    fn change<P: Protocol>(rules: fn() -> Policy<P>) {
        for other in [timers(500, 3), timers(50, 5), timers(100, 10)] {
            let mut pair = Pair::up(rules, timers(100, 3));
            pair.restart(150 * MS).unwrap();
            pair.run(30 * MS);
            pair.claim().unwrap();
            pair.ours.update_session(pair.now, SessionId(1), other, P::PORT);
            pair.run(10 * SECOND);
            assert_eq!(pair.seen, [], "{other:?}");
            assert_eq!(pair.states(), [State::Up, State::Up]);
        }
    }
    change::<Liveness>(liveness_policy);
    change::<Bfd>(bfd_policy);
}

#[test]
fn a_restart_in_the_middle_of_a_change_of_timers_causes_no_down() {
    fn change<P: Protocol>(rules: fn() -> Policy<P>) {
        for wait_ms in [0, 30, 60, 90, 150] {
            for other in [timers(800, 3), timers(50, 3)] {
                let mut pair = Pair::up(rules, timers(100, 3));
                pair.ours.update_session(pair.now, SessionId(1), other, P::PORT);
                pair.run(wait_ms * MS);
                pair.restart(100 * MS).unwrap();
                pair.run(10 * SECOND);
                let state = pair.ours.session(SessionId(u32::MAX)).unwrap().0.state();
                assert_eq!((state, pair.seen.len()), (State::Up, 0), "{other:?} after {wait_ms} ms");
                let (session, _) = pair.ours.session(SessionId(u32::MAX)).unwrap();
                let agreed = u64::from(other.tx_min_us.max(100_000));
                assert_eq!(session.tx_interval_us(), agreed, "the new timers count in the end");
            }
        }
    }
    change::<Liveness>(liveness_policy);
    change::<Bfd>(bfd_policy);
}

#[test]
fn timers_that_were_changed_long_before_the_restart_decide_for_how_long_the_peer_waits() {
    let mut pair = Pair::<Liveness>::up(liveness_policy, timers(100, 3));
    pair.ours.update_session(pair.now, SessionId(1), timers(1_000, 3), Liveness::PORT);
    // Nothing has changed since, so nothing was written down.
    let saved = pair.record().saved;
    pair.run(20 * SECOND);
    pair.resume(1_500 * MS, &saved).expect("the peer waits for three seconds");
    pair.run(20 * SECOND);
    assert_eq!(pair.ours.session(SessionId(u32::MAX)).unwrap().0.state(), State::Up);
    assert_eq!(pair.seen, []);
}

#[test]
fn timers_that_the_peer_has_not_heard_of_count_as_before_after_a_restart_too() {
    fn change<P: Protocol>(rules: fn() -> Policy<P>) {
        let [ours, theirs] = [Timers { rx_min_us: 1_000_000, ..timers(100, 10) }, timers(50, 10)];
        let mut pair = Pair::up_with(rules, [ours, Timers { rx_min_us: 100_000, ..theirs }]);
        // The peer sends once a second, and has just done so.
        while pair.ours.session(SessionId(1)).unwrap().0.last_rx() != Some(pair.now) {
            pair.run(MS);
        }
        pair.ours.update_session(pair.now, SessionId(1), Timers { rx_min_us: 50_000, ..ours }, P::PORT);
        pair.is_cut = true;
        pair.restart(20 * MS).unwrap();
        // By the new timers 500 ms of silence are too long.
        pair.run(600 * MS);
        pair.is_cut = false;
        pair.run(15 * SECOND);
        let (session, _) = pair.ours.session(SessionId(u32::MAX)).unwrap();
        assert_eq!((session.state(), session.flaps(), pair.seen.len()), (State::Up, 0, 0));
        assert_eq!(session.rx_interval_us(), 50_000, "they count once the peer has heard of them");
    }
    change::<Liveness>(liveness_policy);
    change::<Bfd>(bfd_policy);
}

#[test]
fn the_journal_names_a_slot_where_something_changed_and_no_slot_for_a_packet_that_says_nothing_new() {
    let mut pair = Pair::<Liveness>::up(liveness_policy, timers(100, 3));
    let changed = |pair: &mut Pair<Liveness>| {
        let mut slots: Vec<u32> = std::iter::from_fn(|| pair.ours.poll_changed()).collect();
        slots.dedup();
        slots
    };
    assert_eq!(changed(&mut pair), [0]);
    pair.run(10 * SECOND);
    assert_eq!(changed(&mut pair), [], "a hundred packets that say the same");
    pair.peers.update_session(pair.now, SessionId(1), Timers { tx_min_us: 200_000, ..timers(100, 3) }, 1);
    pair.run(SECOND);
    assert_eq!(changed(&mut pair), [0], "the peer has other intervals");
    assert_eq!(pair.record().saved.peer_tx_min_us, 200_000);
    pair.ours.admin_down(pair.now, SessionId(1));
    assert_eq!(changed(&mut pair), [0]);
    assert!(pair.ours.continued(0).is_none(), "what is out of service does not go on");
    pair.ours.remove_session(SessionId(1));
    assert_eq!(changed(&mut pair), [0]);
    assert!(pair.ours.continued(0).is_none());
}

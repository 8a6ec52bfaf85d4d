//! The invariants of a pair of sessions: it recovers within its bound, does not change its state while no fault is injected,
//! and is not Up on either side while one direction is cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::SessionId;
use crate::protocol::rules::{MAX_PEER_INTERVAL_US, REFERENCE};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::host::Host;
use crate::sim::host_spec::HostSpec;
use crate::sim::network::HostId;
use crate::sim::scene::{PairId, Scene};
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

/// More than the difference between two clocks, in millionths.
const DRIFT_PPM: u64 = 1_000;

/// Allows for rounding and for the time that turns take.
const SLACK_US: u64 = 2_000;

#[derive(Debug, Default)]
pub(super) struct RecoveryChecks {
    pairs: Vec<PairStatus>,
    checks: BinaryHeap<Reverse<(Time, PairId, u32, Check)>>,
    /// When a damaged packet last arrived anywhere.
    last_corruption: Option<Time>,
}

/// The record of one pair.
#[derive(Clone, Copy, Debug, Default)]
struct PairStatus {
    /// The number of faults so far. A check that was scheduled before the last fault is void.
    disturbances: u32,
    disturbed_at: Option<Time>,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Anything,
    /// Both sides are Up and must not change.
    Stable,
    /// The side `deaf` receives no packet; it is Down, and the other side is not Up.
    Severed { deaf: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    /// Both sides must be Up, whatever their states were.
    Recovered,
    /// Both sides must be Up soon after a long outage (`ARCHITECTURE.md`, requirement 1).
    RecoveredSoon,
    /// Neither side may be Up.
    Severed { deaf: usize },
}

/// The intervals that two sessions use once each has received a packet of the other.
struct Terms {
    tx_us: [u64; 2],
    detect_us: [u64; 2],
    /// The detection times while the sessions are not Up.
    slow_detect_us: [u64; 2],
    /// The longest transmit intervals while the sessions are Down.
    backed_off_us: [u64; 2],
    round_trip_us: u64,
    lateness_us: u64,
    is_stable: bool,
}

impl RecoveryChecks {
    /// When the next check is due.
    #[must_use]
    pub(super) fn next(&self) -> Option<Time> {
        self.checks.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn corrupted(&mut self, now: Time) {
        self.last_corruption = Some(now);
    }

    /// A fault was injected into a pair, or into one of its hosts or paths.
    pub(super) fn disturbed<P: SimulatedProtocol>(&mut self, scene: &Scene<P>, id: PairId) {
        if self.pairs.len() < id.0 as usize {
            self.pairs.resize(id.0 as usize, PairStatus::default());
        }
        let now = scene.now;
        let pair = &mut self.pairs[id.0 as usize - 1];
        pair.disturbances += 1;
        pair.disturbed_at = Some(now);
        let was_stable = pair.expects == Expects::Stable;
        pair.expects = Expects::Anything;
        let number = pair.disturbances;
        let hosts = scene.pair(id).hosts;
        let quiet_from = hosts.iter().filter_map(|host| scene.host(*host).stalled_until).fold(now, Time::max);
        let terms = Terms::of(scene, id);
        let mut order = |at: Time, check: Check| self.checks.push(Reverse((at, id, number, check)));
        let has_no_link = hosts.iter().any(|host| scene.host(*host).has_lost(id.0));
        let is_cut = |from: HostId, to: HostId| has_no_link || scene.network.cut_since(from, to).is_some();
        match [(0, 1), (1, 0)].map(|(from, to)| is_cut(hosts[from], hosts[to])) {
            [false, false] => {
                if let Some(us) = recovery_us(scene, id, &terms) {
                    order(quiet_from.plus(us), Check::Recovered);
                }
                if let Some(at) = recovery_after_outage(scene, id, &terms).filter(|_| quiet_from == now) {
                    order(at, Check::RecoveredSoon);
                }
            }
            [true, true] => {}
            [deaf_is_second, _] => {
                let deaf = usize::from(deaf_is_second);
                order(quiet_from.plus(severed_us(scene, id, &terms, deaf, was_stable)), Check::Severed { deaf });
            }
        }
    }

    /// A session of a pair has other timers. With a Poll, that is no reason for a change of state.
    pub(super) fn timers_changed<P: SimulatedProtocol>(&mut self, scene: &Scene<P>, id: PairId) {
        let was_stable = self.pairs.get(id.0 as usize - 1).is_some_and(|pair| pair.expects == Expects::Stable);
        self.disturbed(scene, id);
        if P::POLLS && was_stable && Terms::of(scene, id).is_stable {
            self.pairs[id.0 as usize - 1].expects = Expects::Stable;
        }
    }

    /// The process of a host ends, and a successor goes on after a pause with its state file. Where the pause is shorter than the
    /// detection time of the peer, that is no reason for a change of state.
    pub(super) fn restarted<P: SimulatedProtocol>(
        &mut self,
        scene: &Scene<P>,
        id: PairId,
        host: HostId,
        pause_us: u64,
    ) {
        let was_stable = self.pairs.get(id.0 as usize - 1).is_some_and(|pair| pair.expects == Expects::Stable);
        let was_polling = is_polling(scene, id);
        self.disturbed(scene, id);
        let pair = scene.pair(id);
        let side = usize::from(pair.hosts[1] == host);
        let terms = Terms::of(scene, id);
        let tx_us = terms.tx_us[side];
        // The last packet left an interval ago, with its jitter, and the first one leaves within a tenth of one.
        let silence_us = with_slack(pause_us + tx_us + tx_us / 5 + terms.round_trip_us, &terms);
        let is_first = scene.host(host).resumed_at().is_none_or(|at| scene.now.since(at) > 2 * terms.detect_us[side]);
        let has_no_keys = pair.bfd.iter().all(|options| options.keys.is_empty());
        // A peer may wait for longer than it has told: its ceiling limits what it tells.
        let [ours, theirs] = [side, 1 - side].map(|side| pair.timers[side].detect_mult);
        let told_us = u64::from(P::detect_mult(theirs, ours)) * tx_us;
        let is_short = silence_us < terms.detect_us[1 - side].min(told_us);
        if was_stable && terms.is_stable && !was_polling && is_first && has_no_keys && is_short {
            self.pairs[id.0 as usize - 1].expects = Expects::Stable;
        }
    }

    /// The successor of a process has gone on with its state file.
    pub(super) fn resumed<P: SimulatedProtocol>(&mut self, scene: &Scene<P>, id: PairId) {
        if self.pairs.get(id.0 as usize - 1).is_none_or(|pair| pair.expects != Expects::Stable) {
            self.disturbed(scene, id);
        }
    }

    /// Checks the sessions of a host that changed their states in its last turn.
    pub(super) fn changed<P: SimulatedProtocol>(
        &mut self,
        scene: &Scene<P>,
        host: HostId,
        sessions: &[SessionId],
    ) -> Result<(), Violation> {
        for session in sessions {
            let id = PairId(session.0);
            let Some(pair) = self.pairs.get(id.0 as usize - 1) else { continue };
            let side = usize::from(scene.pair(id).hosts[1] == host);
            let states = scene.states(id);
            match pair.expects {
                Expects::Anything => {}
                Expects::Stable => {
                    return objection(scene, id, "changed its state while no fault was injected");
                }
                Expects::Severed { deaf } if side == deaf => {
                    return objection(scene, id, "changed its state on the side that receives nothing");
                }
                Expects::Severed { .. } if states[side] == Some(State::Up) => {
                    return objection(scene, id, "came Up although its packets do not arrive");
                }
                Expects::Severed { .. } => {}
            }
        }
        Ok(())
    }

    /// Runs the checks that are due.
    pub(super) fn run<P: SimulatedProtocol>(&mut self, scene: &Scene<P>) -> Result<(), Violation> {
        while let Some(Reverse((at, id, number, check))) = self.checks.peek().copied()
            && at <= scene.now
        {
            self.checks.pop();
            let pair = &mut self.pairs[id.0 as usize - 1];
            if pair.disturbances != number {
                continue;
            }
            let states = scene.states(id);
            let is_in_service = states.iter().all(|state| state.is_some_and(|state| state != State::AdminDown));
            // BFD takes any interval from a packet, even one of an hour, and it counts until the next packet.
            let corrupted_from = pair.disturbed_at.filter(|_| !P::POLLS);
            let since_corruption = self.last_corruption.is_some() && self.last_corruption >= corrupted_from;
            if !is_in_service || since_corruption || may_corrupt(scene, id) {
                continue;
            }
            match check {
                Check::Recovered if scene.is_up(id) && is_polling(scene, id) => {
                    return objection(scene, id, "is in a Poll that did not end within its bound");
                }
                Check::Recovered if scene.is_up(id) => pair.expects = Expects::Stable,
                Check::RecoveredSoon if scene.is_up(id) => {}
                Check::Recovered => return objection(scene, id, "did not come Up within its bound"),
                Check::RecoveredSoon => return objection(scene, id, "did not come Up soon after the outage"),
                Check::Severed { .. } if states.contains(&Some(State::Up)) => {
                    return objection(scene, id, "is Up although one direction is cut");
                }
                Check::Severed { deaf } if states[deaf] != Some(State::Down) => {
                    return objection(scene, id, "is not Down on the side that receives nothing");
                }
                Check::Severed { deaf } => pair.expects = Expects::Severed { deaf },
            }
        }
        Ok(())
    }
}

/// Whether a Poll of either side is not answered yet.
fn is_polling<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId) -> bool {
    let sessions = scene.pair(id).hosts.map(|host| scene.host(host).engine.session(id.session()));
    sessions.iter().flatten().any(|(session, _)| P::is_polling(session))
}

/// Whether packets of the pair may be damaged: a damaged packet that is valid is accepted.
fn may_corrupt<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId) -> bool {
    let [one, two] = scene.pair(id).hosts;
    [(one, two), (two, one)].into_iter().any(|(from, to)| scene.network.quality(from, to).corrupt_ppm > 0)
}

fn objection<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId, text: &str) -> Result<(), Violation> {
    let [one, two] = scene.pair(id).hosts;
    let text = format!("pair {} of hosts {} and {} {text}; its states: {:?}", id.0, one.0, two.0, scene.states(id));
    Err(Violation::new(scene.now, text))
}

/// The longest time in which a pair comes Up from any states while no fault is injected; `None` if it need not. Two sides
/// that both follow the reference's rules do not recover from some restarts.
fn recovery_us<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId, terms: &Terms) -> Option<u64> {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let robust = hosts.map(|host| host.spec.rules != &REFERENCE);
    if !terms.is_stable || robust == [false, false] {
        return None;
    }
    let wait_us = |side: usize| {
        let silence_us = terms.slow_detect_us[side] * if P::POLLS { 2 } else { 1 };
        let silence_us = silence_us.max(sequence_us(hosts[side], id));
        silence_us.max(hosts[side].spec.rules.least_init_us(terms.tx_us[side]))
    };
    let backed_off_us = terms.backed_off_us[0].max(terms.backed_off_us[1]);
    // Two sessions of BFD may wait for a slow packet of each other twice.
    let us = 2 * (wait_us(0) + wait_us(1))
        + backed_off_us * if P::POLLS { 44 } else { 22 } / 10
        + 2 * terms.round_trip_us
        + terms.tx_us[0]
        + terms.tx_us[1];
    Some(with_slack(us, terms))
}

/// How long a BFD session may refuse the sequence numbers of a peer that restarted: two detection times (RFC 5880 §6.8.1), with
/// the timers that the peer said before.
fn sequence_us<P: SimulatedProtocol>(host: &Host<P>, id: PairId) -> u64 {
    let session = host.engine.session(id.session()).filter(|_| P::POLLS);
    session.map_or(0, |(session, _)| 2 * session.detect_time_us())
}

/// When a pair that was Down for long on both sides must be Up: after the rest of the shorter backed-off interval, two round
/// trips and two transmit intervals.
fn recovery_after_outage<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId, terms: &Terms) -> Option<Time> {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let long_us = 2 * terms.slow_detect_us[0].max(terms.slow_detect_us[1]) + scene.network.slowest_us();
    let is_long_down = |host: &Host<P>| {
        host.engine.session(id.session()).is_some_and(|(session, _)| {
            let since = session.timestamps().last_updated;
            let long_us = long_us.max(sequence_us(host, id));
            session.state() == State::Down
                && since.is_some_and(|since| host.clock.local(scene.now).since(since) > long_us)
        })
    };
    let robust = hosts.iter().all(|host| host.spec.rules != &REFERENCE);
    if !terms.is_stable || !robust || !hosts.iter().all(|host| is_long_down(host)) {
        return None;
    }
    let first = hosts.iter().filter_map(|host| host.next_tx(id.session())).min()?.max(scene.now);
    let us = 2 * terms.round_trip_us + 2 * terms.tx_us[0].max(terms.tx_us[1]);
    Some(first.plus(with_slack(us, terms)))
}

/// The longest time until both sides have left Up after one of them stopped receiving.
fn severed_us<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId, terms: &Terms, deaf: usize, was_stable: bool) -> u64 {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let sessions = hosts.map(|host| host.engine.session(id.session()).map(|(session, _)| session));
    let wait_us = |side: usize| {
        let now_us = sessions[side].map_or(0, crate::protocol::session::Session::<P>::detect_time_us);
        // Packets under way may lead to Init once more, unless the pair was stable.
        let least_us = if was_stable {
            0
        } else {
            hosts[side].spec.rules.least_init_us(terms.tx_us[side]).max(terms.slow_detect_us[side])
        };
        now_us.max(terms.detect_us[side]).max(least_us)
    };
    let deadline_us = |side: usize| {
        let deadline = sessions[side].and_then(crate::protocol::session::Session::<P>::detect_deadline);
        deadline.map_or(0, |deadline| hosts[side].clock.world(deadline).since(scene.now))
    };
    // A side that requires discriminators ignores a Down without ours, and a deaf side with long intervals may send no other. It goes Down at
    // its own deadline, which its former timers may have set.
    let unheard_us = if hosts[1 - deaf].spec.require_discriminator { deadline_us(1 - deaf) } else { 0 };
    let slowest_us = scene.network.slowest_us();
    let noticed_us = (slowest_us + wait_us(deaf)).max(deadline_us(deaf));
    let told_us = (slowest_us + wait_us(1 - deaf) + terms.tx_us[0].max(terms.tx_us[1])).max(unheard_us);
    let us = noticed_us + told_us;
    // Each side may extend its detection time by one transmit interval.
    let extensions_us = if terms.lateness_us > 0 || !was_stable { terms.tx_us[0] + terms.tx_us[1] } else { 0 };
    with_slack(us + extensions_us, terms)
}

fn with_slack(us: u64, terms: &Terms) -> u64 {
    us + us * DRIFT_PPM / 1_000_000 + 6 * terms.lateness_us + SLACK_US
}

impl Terms {
    fn of<P: SimulatedProtocol>(scene: &Scene<P>, id: PairId) -> Self {
        let pair = scene.pair(id);
        let specs = pair.hosts.map(|host| scene.host(host).spec);
        let sides = [0, 1].map(|side| {
            let other = 1 - side;
            ((&specs[side], &pair.timers[side]), (&specs[other], &pair.timers[other]))
        });
        let tx_us = sides.map(|(ours, theirs)| agreed_tx_us::<P>(ours, theirs));
        let detect_us = sides.map(|(ours, theirs)| agreed_detect_us::<P>(ours, theirs, State::Up));
        let slow_detect_us = sides.map(|(ours, theirs)| agreed_detect_us::<P>(ours, theirs, State::Down));
        let backed_off_us = [0, 1].map(|side| {
            let most_us = u64::from(specs[side].backoff_max_us);
            P::tx_interval_us(State::Down, tx_us[side], 20, most_us)
        });
        let qualities = [(0, 1), (1, 0)].map(|(from, to)| scene.network.quality(pair.hosts[from], pair.hosts[to]));
        let lateness_us = specs[0].lateness_us.max(specs[1].lateness_us);
        // Packets that were sent at a worse quality may be under way.
        let round_trip_us = 2 * scene.network.slowest_us();
        let is_stable = (0..2).all(|side| {
            let other = 1 - side;
            let spread_us = qualities[other].slowest_us() - qualities[other].delay_us;
            let mults = [other, side].map(|side| pair.timers[side].detect_mult);
            let longest_gap_us = |interval_us: u64| {
                let (_, most_us) = P::jitter_bounds_us(interval_us, mults[0], mults[1]);
                let gap_us = most_us + lateness_us + spread_us;
                gap_us + gap_us * DRIFT_PPM / 1_000_000 + SLACK_US
            };
            let gap_us = longest_gap_us(tx_us[other]);
            let init_gap_us = longest_gap_us(P::tx_interval_us(State::Init, tx_us[other], 0, 0));
            let is_followed = specs[side].rules == &REFERENCE
                || advertised(&specs[other], pair.timers[other].tx_min_us) <= MAX_PEER_INTERVAL_US;
            // Under the reference's rules a session may leave Init before a slow handshake ends.
            let handshake_us = if specs.iter().all(|spec| spec.rules != &REFERENCE) { gap_us } else { 2 * gap_us };
            is_followed
                && !P::never_meet([&pair.bfd[0], &pair.bfd[1]])
                && handshake_us < detect_us[side]
                && (!P::POLLS || init_gap_us < slow_detect_us[side])
                && round_trip_us + 2 * lateness_us < detect_us[side]
                && qualities[other].loss_ppm == 0
                && qualities[other].corrupt_ppm == 0
                && lateness_us * 5 < detect_us[side]
        });
        Self { tx_us, detect_us, slow_detect_us, backed_off_us, round_trip_us, lateness_us, is_stable }
    }
}

type Side<'a> = (&'a HostSpec, &'a Timers);

fn advertised(spec: &HostSpec, interval_us: u32) -> u32 {
    interval_us.clamp(spec.min_tx_floor_us, spec.max_tx_ceil_us)
}

/// RFC 5880 §6.8.7, within the bounds of the one that sends.
fn agreed_tx_us<P: SimulatedProtocol>((spec, timers): Side<'_>, (their_spec, theirs): Side<'_>) -> u64 {
    let wanted = advertised(their_spec, theirs.rx_min_us);
    if P::FOLLOWS_SLOW_RECEIVERS {
        return u64::from(advertised(spec, timers.tx_min_us).max(wanted));
    }
    u64::from(advertised(spec, timers.tx_min_us.max(wanted)))
}

/// The detection time while the peer is in this state.
fn agreed_detect_us<P: SimulatedProtocol>(
    (spec, timers): Side<'_>,
    (their_spec, theirs): Side<'_>,
    state: State,
) -> u64 {
    let said = P::advertised_tx_us(state, advertised(their_spec, theirs.tx_min_us));
    let agreed = said.max(timers.rx_min_us).max(spec.min_tx_floor_us);
    let agreed = if spec.rules == &REFERENCE { agreed.min(spec.max_tx_ceil_us) } else { agreed };
    u64::from(P::detect_mult(timers.detect_mult, theirs.detect_mult)) * u64::from(agreed)
}

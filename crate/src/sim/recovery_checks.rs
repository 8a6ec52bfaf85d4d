//! What must hold between two hosts: every pair recovers within its bound, does not change its state while no fault is
//! injected, and is Down on both sides while one direction is cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::SessionId;
use crate::protocol::rules::{MAX_PEER_INTERVAL_US, ROBUST};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::host::Host;
use crate::sim::host_spec::HostSpec;
use crate::sim::network::HostId;
use crate::sim::scene::{PairId, Scene};
use crate::sim::violation::Violation;

/// Clocks differ by less than this, in millionths.
const DRIFT_PPM: u64 = 1_000;

/// Rounding, and the time that turns take.
const SLACK_US: u64 = 2_000;

#[derive(Debug, Default)]
pub(super) struct RecoveryChecks {
    includes: Vec<PairStatus>,
    checks: BinaryHeap<Reverse<(Time, PairId, u32, Check)>>,
    /// When a damaged packet last arrived anywhere.
    last_corruption: Option<Time>,
}

/// What is known of one pair.
#[derive(Clone, Copy, Debug, Default)]
struct PairStatus {
    /// Counts what was done to it: a check that was ordered before is void.
    disturbances: u32,
    disturbed_at: Option<Time>,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Anything,
    /// Both are Up, and no fault is injected.
    Stable,
    /// The given side has long heard nothing, and the other knows.
    Severed { deaf: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Check {
    /// Both sides are Up, from wherever they were.
    Recovered,
    /// Both sides are Up again after an outage (`ARCHITECTURE.md`, point 1).
    RecoveredSoon,
    /// Neither side is Up.
    Severed { deaf: usize },
}

/// What two sessions agree on, once they have heard each other.
struct Terms {
    tx_us: [u64; 2],
    detect_us: [u64; 2],
    round_trip_us: u64,
    lateness_us: u64,
    is_stable: bool,
}

impl RecoveryChecks {
    /// When something has to be looked at next.
    #[must_use]
    pub(super) fn next(&self) -> Option<Time> {
        self.checks.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn corrupted(&mut self, now: Time) {
        self.last_corruption = Some(now);
    }

    /// Something was done to a pair, or to a host or a path of it.
    pub(super) fn disturbed(&mut self, scene: &Scene, id: PairId) {
        if self.includes.len() < id.0 as usize {
            self.includes.resize(id.0 as usize, PairStatus::default());
        }
        let now = scene.now;
        let concern = &mut self.includes[id.0 as usize - 1];
        concern.disturbances += 1;
        concern.disturbed_at = Some(now);
        let was_stable = concern.expects == Expects::Stable;
        concern.expects = Expects::Anything;
        let number = concern.disturbances;
        let hosts = scene.pair(id).hosts;
        let quiet_from = hosts.iter().filter_map(|host| scene.host(*host).stalled_until).fold(now, Time::max);
        let terms = Terms::of(scene, id);
        let mut order = |at: Time, check: Check| self.checks.push(Reverse((at, id, number, check)));
        match [(0, 1), (1, 0)].map(|(from, to)| scene.network.cut_since(hosts[from], hosts[to]).is_some()) {
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

    /// Sessions of a host changed their states in the turn that is just over.
    pub(super) fn changed(&mut self, scene: &Scene, host: HostId, sessions: &[SessionId]) -> Result<(), Violation> {
        for session in sessions {
            let id = PairId(session.0);
            let Some(concern) = self.includes.get(id.0 as usize - 1) else { continue };
            let side = usize::from(scene.pair(id).hosts[1] == host);
            let states = scene.states(id);
            match concern.expects {
                Expects::Anything => {}
                Expects::Stable => {
                    return objection(scene, id, "changed while nothing was wrong");
                }
                Expects::Severed { deaf } if side == deaf => {
                    return objection(scene, id, "changed on the side that hears nothing");
                }
                Expects::Severed { .. } if states[side] == Some(State::Up) => {
                    return objection(scene, id, "came Up though its packets do not arrive");
                }
                Expects::Severed { .. } => {}
            }
        }
        Ok(())
    }

    /// Looks at what is due.
    pub(super) fn run(&mut self, scene: &Scene) -> Result<(), Violation> {
        while let Some(Reverse((at, id, number, check))) = self.checks.peek().copied()
            && at <= scene.now
        {
            self.checks.pop();
            let concern = &mut self.includes[id.0 as usize - 1];
            if concern.disturbances != number {
                continue;
            }
            let states = scene.states(id);
            let is_in_service = states.iter().all(|state| state.is_some_and(|state| state != State::AdminDown));
            let since_corruption = self.last_corruption >= concern.disturbed_at;
            if !is_in_service || since_corruption || may_corrupt(scene, id) {
                continue;
            }
            match check {
                Check::Recovered if scene.is_up(id) => concern.expects = Expects::Stable,
                Check::RecoveredSoon if scene.is_up(id) => {}
                Check::Recovered => return objection(scene, id, "should have come up by now"),
                Check::RecoveredSoon => return objection(scene, id, "should have come up soon after the outage"),
                Check::Severed { .. } if states.contains(&Some(State::Up)) => {
                    return objection(scene, id, "is Up though one direction is cut");
                }
                Check::Severed { deaf } if states[deaf] != Some(State::Down) => {
                    return objection(scene, id, "is not Down on the side that hears nothing");
                }
                Check::Severed { deaf } => concern.expects = Expects::Severed { deaf },
            }
        }
        Ok(())
    }
}

/// A damaged packet may say anything, and is believed.
fn may_corrupt(scene: &Scene, id: PairId) -> bool {
    let [one, two] = scene.pair(id).hosts;
    [(one, two), (two, one)].into_iter().any(|(from, to)| scene.network.quality(from, to).corrupt_ppm > 0)
}

fn objection(scene: &Scene, id: PairId, text: &str) -> Result<(), Violation> {
    let [one, two] = scene.pair(id).hosts;
    let text = format!("pair {} of hosts {} and {} {text}; its states: {:?}", id.0, one.0, two.0, scene.states(id));
    Err(Violation::new(scene.now, text))
}

/// The longest that a pair which nothing is done to takes to come up, from whatever states; `None` where it need not.
/// The reference's rules against themselves never recover from some restarts.
fn recovery_us(scene: &Scene, id: PairId, terms: &Terms) -> Option<u64> {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let robust = hosts.map(|host| host.spec.rules == &ROBUST);
    if !terms.is_stable || robust == [false, false] {
        return None;
    }
    let wait_us = |side: usize| terms.detect_us[side].max(hosts[side].spec.rules.least_init_us(terms.tx_us[side]));
    let backed_off_us = hosts.map(|host| u64::from(host.spec.backoff_max_us)).into_iter().max().unwrap_or(0);
    let us = 2 * (wait_us(0) + wait_us(1))
        + backed_off_us * 22 / 10
        + 2 * terms.round_trip_us
        + terms.tx_us[0]
        + terms.tx_us[1];
    Some(with_slack(us, terms))
}

/// When a pair has to be up that was Down for long on both sides: 1.1 × the shorter backed-off interval (here: what is
/// left of it), two round trips, two transmit intervals.
fn recovery_after_outage(scene: &Scene, id: PairId, terms: &Terms) -> Option<Time> {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let long_us = 2 * terms.detect_us[0].max(terms.detect_us[1]) + scene.network.slowest_us();
    let is_long_down = |host: &Host| {
        host.engine.session(id.session()).is_some_and(|(session, _)| {
            let since = session.timestamps().last_updated;
            session.state() == State::Down
                && since.is_some_and(|since| host.clock.local(scene.now).since(since) > long_us)
        })
    };
    let robust = hosts.iter().all(|host| host.spec.rules == &ROBUST);
    if !terms.is_stable || !robust || !hosts.iter().all(|host| is_long_down(host)) {
        return None;
    }
    let first = hosts.iter().filter_map(|host| host.next_tx(id.session())).min()?.max(scene.now);
    let us = 2 * terms.round_trip_us + 2 * terms.tx_us[0].max(terms.tx_us[1]);
    Some(first.plus(with_slack(us, terms)))
}

/// How long both sides may take to notice that one of them hears nothing any more.
fn severed_us(scene: &Scene, id: PairId, terms: &Terms, deaf: usize, was_stable: bool) -> u64 {
    let hosts = scene.pair(id).hosts.map(|host| scene.host(host));
    let sessions = hosts.map(|host| host.engine.session(id.session()).map(|(session, _)| session));
    let wait_us = |side: usize| {
        let now_us = sessions[side].map_or(0, crate::protocol::session::Session::detect_time_us);
        // Packets in flight may lead to Init once more, but not out of a stable pair.
        let least_us = if was_stable { 0 } else { hosts[side].spec.rules.least_init_us(terms.tx_us[side]) };
        now_us.max(terms.detect_us[side]).max(least_us)
    };
    let deadline_us = sessions[deaf]
        .and_then(crate::protocol::session::Session::detect_deadline)
        .map_or(0, |deadline| hosts[deaf].clock.world(deadline).since(scene.now));
    let slowest_us = scene.network.slowest_us();
    let noticed_us = (slowest_us + wait_us(deaf)).max(deadline_us);
    let us = noticed_us + slowest_us + wait_us(1 - deaf) + terms.tx_us[0].max(terms.tx_us[1]);
    // A silence that may be our own fault buys either side one more interval.
    let graces_us = if terms.lateness_us > 0 || !was_stable { terms.tx_us[0] + terms.tx_us[1] } else { 0 };
    with_slack(us + graces_us, terms)
}

fn with_slack(us: u64, terms: &Terms) -> u64 {
    us + us * DRIFT_PPM / 1_000_000 + 6 * terms.lateness_us + SLACK_US
}

impl Terms {
    fn of(scene: &Scene, id: PairId) -> Self {
        let pair = scene.pair(id);
        let specs = pair.hosts.map(|host| scene.host(host).spec);
        let (tx, detect): (Vec<u64>, Vec<u64>) = (0..2)
            .map(|side| {
                let other = 1 - side;
                let (ours, theirs) = ((&specs[side], &pair.timers[side]), (&specs[other], &pair.timers[other]));
                (tx_us(ours, theirs), detect_us(ours, theirs))
            })
            .unzip();
        let (tx_us, detect_us) = ([tx[0], tx[1]], [detect[0], detect[1]]);
        let qualities = [(0, 1), (1, 0)].map(|(from, to)| scene.network.quality(pair.hosts[from], pair.hosts[to]));
        let lateness_us = specs[0].lateness_us.max(specs[1].lateness_us);
        // What is on its way from worse times counts, too.
        let round_trip_us = 2 * scene.network.slowest_us();
        let is_stable = (0..2).all(|side| {
            let other = 1 - side;
            let spread_us = qualities[other].slowest_us() - qualities[other].delay_us;
            let most = if pair.timers[side].detect_mult == 1 { 9 } else { 11 };
            let gap_us = tx_us[other] * most / 10 + lateness_us + spread_us;
            let gap_us = gap_us + gap_us * DRIFT_PPM / 1_000_000 + SLACK_US;
            let is_followed = specs[side].rules != &ROBUST
                || advertised(&specs[other], pair.timers[other].tx_min_us) <= MAX_PEER_INTERVAL_US;
            // Under the reference's rules Init is over before a slow handshake is.
            let handshake_us = if specs.iter().all(|spec| spec.rules == &ROBUST) { gap_us } else { 2 * gap_us };
            is_followed
                && handshake_us < detect_us[side]
                && round_trip_us + 2 * lateness_us < detect_us[side]
                && qualities[other].loss_ppm == 0
                && qualities[other].corrupt_ppm == 0
                && lateness_us * 5 < detect_us[side]
        });
        Self { tx_us, detect_us, round_trip_us, lateness_us, is_stable }
    }
}

type Side<'a> = (&'a HostSpec, &'a Timers);

fn advertised(spec: &HostSpec, interval_us: u32) -> u32 {
    interval_us.clamp(spec.min_tx_floor_us, spec.max_tx_ceil_us)
}

/// RFC 5880 §6.8.7, within the bounds of the one that sends.
fn tx_us((spec, timers): Side<'_>, (their_spec, theirs): Side<'_>) -> u64 {
    let wanted = advertised(their_spec, theirs.rx_min_us);
    u64::from(advertised(spec, timers.tx_min_us.max(wanted)))
}

fn detect_us((spec, timers): Side<'_>, (their_spec, theirs): Side<'_>) -> u64 {
    let agreed = advertised(their_spec, theirs.tx_min_us).max(timers.rx_min_us).max(spec.min_tx_floor_us);
    let agreed = if spec.rules == &ROBUST { agreed } else { agreed.min(spec.max_tx_ceil_us) };
    u64::from(timers.detect_mult) * u64::from(agreed)
}

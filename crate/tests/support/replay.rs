//! Replays a scenario of timed inputs in the core, and records the outputs and the session after each.

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Event, Path, SessionId, SessionSpec};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::liveness::{Identity, Liveness};
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{REFERENCE, ROBUST};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use serde::Deserialize;
use serde_json::{Value, json};

const ID: SessionId = SessionId(1);
const PATH: Path = Path {
    link: LinkId(1),
    local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
};

/// Timed inputs for one session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The rule that the scenario tests.
    #[serde(rename = "name")]
    _name: String,
    /// `reference` or `robust`.
    rules: String,
    /// The seed of the generator of the jitter.
    seed: u32,
    limits: Limits,
    identity: Option<WireIdentity>,
    session: WireSession,
    pub(crate) steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Limits {
    min_tx_floor_us: u32,
    max_tx_ceil_us: u32,
    backoff_max_us: u32,
    #[serde(default)]
    require_discriminator: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WireIdentity {
    passive: bool,
    version: [u8; 4],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WireSession {
    local_discr: u32,
    tx_min_us: u32,
    rx_min_us: u32,
    detect_mult: u8,
}

/// One input. Everything that is due earlier runs before it, and everything that is due at its time runs after it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) at_us: u64,
    #[serde(rename = "do")]
    action: Action,
    /// With `run`: for how long before `atUs` the engine was not run.
    late_us: Option<u64>,
    /// With `update`: the new timers.
    timers: Option<WireTimers>,
    packet: Option<WirePacket>,
    /// An invalid datagram, in hexadecimal.
    bytes: Option<String>,
    /// The arrival time, if it is earlier than `atUs`.
    arrival_us: Option<u64>,
    /// The expected outputs, compared as a whole.
    #[serde(rename = "expect")]
    _expect: Option<Value>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    Start,
    Receive,
    Run,
    AdminDown,
    AdminUp,
    SocketDrops,
    Update,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireTimers {
    tx_min_us: u32,
    rx_min_us: u32,
    detect_mult: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WirePacket {
    state: String,
    local_discr: u32,
    peer_discr: u32,
    detect_mult: u8,
    desired_min_tx_us: u32,
    required_min_rx_us: u32,
    passive: Option<bool>,
    client_version: Option<[u8; 4]>,
}

impl WirePacket {
    fn marshal(&self) -> Vec<u8> {
        let state = State::ALL.into_iter().find(|state| state.name() == self.state).expect("the name of a state");
        let packet = ControlPacket {
            state,
            detect_mult: self.detect_mult,
            local_discr: self.local_discr,
            peer_discr: self.peer_discr,
            desired_min_tx_us: self.desired_min_tx_us,
            required_min_rx_us: self.required_min_rx_us,
            passive: self.passive.unwrap_or_default(),
            client_version: self.client_version.unwrap_or_default(),
        };
        packet.marshal().to_vec()
    }
}

pub(crate) struct Replay {
    engine: Engine,
    sent: Vec<Value>,
    events: Vec<Value>,
}

impl Replay {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let rules = match scenario.rules.as_str() {
            "reference" => &REFERENCE,
            "robust" => &ROBUST,
            other => panic!("no rules are named {other}"),
        };
        let Limits { min_tx_floor_us, max_tx_ceil_us, backoff_max_us, require_discriminator } = scenario.limits;
        let identity = scenario.identity.as_ref().map(|own| Identity { passive: own.passive, version: own.version });
        let policy = Policy {
            rules,
            min_tx_floor_us,
            max_tx_ceil_us,
            backoff_max_us,
            require_discriminator,
            min_ttl: 0,
            identity,
        };
        Self { engine: Engine::new(policy, 1, scenario.seed), sent: Vec::new(), events: Vec::new() }
    }

    /// Runs everything that is due, at its own time.
    fn run_before(&mut self, until: Time) {
        while let Some(due) = self.engine.poll_deadline().filter(|due| *due < until) {
            self.turn(due);
        }
    }

    fn turn(&mut self, now: Time) {
        self.engine.handle_timeout(now, now);
        while let Some(transmit) = self.engine.poll_transmit() {
            let hex: String = transmit.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            self.sent.push(json!([now.micros(), hex]));
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push(match event {
                Event::Transition(to) => json!({
                    "atUs": to.at.micros(), "from": to.from.name(), "to": to.to.name(), "reason": to.reason.name(),
                    "cause": to.cause.name(), "localStallUs": to.local_stall_us,
                    "convStartUs": to.conv_start.map(Time::micros),
                }),
                Event::PeerPassive { passive, .. } => json!({ "peerPassive": passive }),
                Event::LongRoundTrip { at_least_us, .. } => json!({ "longRoundTripUs": at_least_us }),
            });
        }
    }

    pub(crate) fn apply(&mut self, scenario: &Scenario, step: &Step) {
        let now = Time::from_micros(step.at_us);
        match (step.action, step.late_us) {
            (Action::Run, Some(late_us)) => {
                self.run_before(now.minus(late_us));
                let planned = self.engine.poll_deadline().unwrap_or(now);
                self.engine.note_scheduling_delay(now, now.since(planned));
            }
            _ => self.run_before(now),
        }
        match step.action {
            Action::Start => {
                let WireSession { local_discr, tx_min_us, rx_min_us, detect_mult } = scenario.session;
                let timers = Timers { tx_min_us, rx_min_us, detect_mult };
                let spec = SessionSpec { id: ID, path: PATH, peer_port: Liveness::PORT, timers, min_ttl: None };
                self.engine.add_session(now, spec, local_discr).expect("the engine has room for one session");
            }
            Action::Receive => {
                let bytes = match (&step.packet, &step.bytes) {
                    (Some(packet), None) => packet.marshal(),
                    (None, Some(hex)) => from_hex(hex),
                    _ => panic!("a step that receives has a packet or bytes"),
                };
                let arrival = step.arrival_us.map_or(now, Time::from_micros);
                self.engine
                    .handle_datagram(now, Datagram { arrival, path: PATH, ttl: None, min_ttl: 0, bytes: &bytes });
            }
            Action::Run => {}
            Action::AdminDown => self.engine.admin_down(now, ID),
            Action::AdminUp => self.engine.admin_up(now, ID),
            Action::SocketDrops => self.engine.note_socket_drops(now),
            Action::Update => {
                let WireTimers { tx_min_us, rx_min_us, detect_mult } =
                    step.timers.expect("a step that updates has timers");
                self.engine.update_session(now, ID, Timers { tx_min_us, rx_min_us, detect_mult }, Liveness::PORT);
            }
        }
        self.turn(now);
    }

    /// The outputs since the previous step, and the session.
    pub(crate) fn observed(&mut self) -> Value {
        let (session, scheduled) = self.engine.session(ID).expect("the session was started");
        let peer = session.peer();
        json!({
            "sent": std::mem::take(&mut self.sent),
            "events": std::mem::take(&mut self.events),
            "state": session.state().name(),
            "reason": session.last_down_reason().name(),
            "peerDiscr": peer.discr,
            "peerPassive": peer.details.passive,
            "peerVersion": peer.details.version,
            "txIntervalUs": session.tx_interval_us(),
            "detectTimeUs": session.detect_time_us(),
            "detectDeadlineUs": session.detect_deadline().map(Time::micros),
            "detectScheduledUs": scheduled.map(Time::micros),
            "nextTxUs": session.next_tx().map(Time::micros),
            "lastRxUs": session.last_rx().map(Time::micros),
        })
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

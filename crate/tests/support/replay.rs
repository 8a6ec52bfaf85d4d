//! Replays a scenario of timed inputs in the core, and records the outputs and the session after each.

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Event, Path, SessionId, SessionSpec};
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::liveness::{Identity, Liveness};
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{REFERENCE, ROBUST, Rules};
use route_liveness::protocol::session::Session;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::protocol::{Protocol, specifics::Sending};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[path = "replay_bfd.rs"]
mod replay_bfd;

use replay_bfd::{WireBfdPacket, WireOptions};

const ID: SessionId = SessionId(1);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Timed inputs for one session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The rule that the scenario tests.
    #[serde(rename = "name")]
    _name: String,
    /// `liveness`, which is the default, or `bfd`.
    protocol: Option<String>,
    /// `reference`, `robust` or `rfc5880`.
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
    /// The session has no interface in its path.
    #[serde(default)]
    multihop: bool,
    /// Of a BFD session.
    options: Option<WireOptions>,
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
    /// With `options`: the new options of a BFD session.
    options: Option<WireOptions>,
    packet: Option<WirePacket>,
    /// A packet of a BFD peer.
    bfd: Option<WireBfdPacket>,
    /// An invalid datagram, in hexadecimal.
    bytes: Option<String>,
    /// The source of the datagram, if it is not the peer's address.
    from: Option<IpAddr>,
    /// The destination of the datagram, if it is not ours.
    to: Option<IpAddr>,
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
    Options,
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

/// A protocol whose sessions are replayed.
trait Replayed: Protocol {
    fn options(wire: &WireOptions) -> Self::Options;

    fn identity(wire: &WireIdentity) -> Option<Self::Identity>;

    /// What only the sessions of this protocol have.
    fn observed(session: &Session<Self>, drops: Map<String, Value>) -> Value;
}

impl Replayed for Liveness {
    fn options(_: &WireOptions) {}

    fn identity(wire: &WireIdentity) -> Option<Identity> {
        Some(Identity { passive: wire.passive, version: wire.version })
    }

    fn observed(session: &Session<Self>, _: Map<String, Value>) -> Value {
        let details = session.peer().details;
        json!({ "peerPassive": details.passive, "peerVersion": details.version })
    }
}

impl Replayed for Bfd {
    fn options(wire: &WireOptions) -> BfdOptions {
        wire.read()
    }

    fn identity(_: &WireIdentity) -> Option<()> {
        None
    }

    fn observed(session: &Session<Self>, drops: Map<String, Value>) -> Value {
        let specifics = session.specifics();
        let sending = match session.sending() {
            Sending::Periodic => "periodic",
            Sending::Announcements => "announcements",
            Sending::Nothing => "nothing",
        };
        json!({
            "localDiag": specifics.local_diag() as u8,
            "remoteDiag": specifics.remote_diag() as u8,
            "polling": specifics.poll().is_active(),
            "keyId": specifics.key_id(),
            "sending": sending,
            "drops": drops,
        })
    }
}

/// A replay of a scenario, whatever its protocol.
pub(crate) struct Replay(AnyRun);

enum AnyRun {
    Liveness(Box<Run<Liveness>>),
    Bfd(Box<Run<Bfd>>),
}

impl Replay {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self(match scenario.protocol.as_deref() {
            None | Some("liveness") => AnyRun::Liveness(Box::new(Run::new(scenario))),
            Some("bfd") => AnyRun::Bfd(Box::new(Run::new(scenario))),
            Some(other) => panic!("no protocol is named {other}"),
        })
    }

    pub(crate) fn apply(&mut self, scenario: &Scenario, step: &Step) {
        match &mut self.0 {
            AnyRun::Liveness(run) => run.apply(scenario, step),
            AnyRun::Bfd(run) => run.apply(scenario, step),
        }
    }

    /// The outputs since the previous step, and the session.
    pub(crate) fn observed(&mut self) -> Value {
        match &mut self.0 {
            AnyRun::Liveness(run) => run.observed(),
            AnyRun::Bfd(run) => run.observed(),
        }
    }
}

struct Run<P: Protocol> {
    engine: Engine<P>,
    path: Path,
    sent: Vec<Value>,
    events: Vec<Value>,
    /// How many packets were dropped so far, by reason, the unknown peer last.
    dropped: [u64; DropReason::COUNT + 1],
}

impl<P: Replayed> Run<P> {
    fn new(scenario: &Scenario) -> Self {
        let Limits { min_tx_floor_us, max_tx_ceil_us, backoff_max_us, require_discriminator } = scenario.limits;
        let identity = scenario.identity.as_ref().and_then(P::identity);
        let policy = Policy {
            rules: rules_of(&scenario.rules),
            min_tx_floor_us,
            max_tx_ceil_us,
            backoff_max_us,
            require_discriminator,
            min_ttl: 0,
            identity,
        };
        let link = if scenario.session.multihop { LinkId::OTHER } else { LinkId(1) };
        Self {
            engine: Engine::of_protocol(policy, 1, scenario.seed),
            path: Path { link, local: LOCAL, peer: PEER },
            sent: Vec::new(),
            events: Vec::new(),
            dropped: [0; DropReason::COUNT + 1],
        }
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
            let hex: String = transmit.bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
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

    fn apply(&mut self, scenario: &Scenario, step: &Step) {
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
                let WireSession { local_discr, tx_min_us, rx_min_us, detect_mult, ref options, .. } = scenario.session;
                let timers = Timers { tx_min_us, rx_min_us, detect_mult };
                let spec = SessionSpec { id: ID, path: self.path, peer_port: P::PORT, timers, min_ttl: None };
                let options = options.as_ref().map(P::options).unwrap_or_default();
                let added = self.engine.add_session_with(now, spec, options, local_discr);
                added.expect("the engine has room for one session");
            }
            Action::Receive => {
                let bytes = match (&step.packet, &step.bfd, &step.bytes) {
                    (Some(packet), None, None) => packet.marshal(),
                    (None, Some(packet), None) => packet.marshal(),
                    (None, None, Some(hex)) => from_hex(hex),
                    _ => panic!("a step that receives has a packet or bytes"),
                };
                let arrival = step.arrival_us.map_or(now, Time::from_micros);
                let Path { link, local, peer } = self.path;
                let path = Path { link, local: step.to.unwrap_or(local), peer: step.from.unwrap_or(peer) };
                self.engine.handle_datagram(now, Datagram { arrival, path, ttl: None, min_ttl: 0, bytes: &bytes });
            }
            Action::Run => {}
            Action::AdminDown => self.engine.admin_down(now, ID),
            Action::AdminUp => self.engine.admin_up(now, ID),
            Action::SocketDrops => self.engine.note_socket_drops(now),
            Action::Update => {
                let WireTimers { tx_min_us, rx_min_us, detect_mult } =
                    step.timers.expect("a step that updates has timers");
                self.engine.update_session(now, ID, Timers { tx_min_us, rx_min_us, detect_mult }, P::PORT);
            }
            Action::Options => {
                let options = step.options.as_ref().map(P::options).unwrap_or_default();
                self.engine.update_options(now, ID, options);
            }
        }
        self.turn(now);
    }

    fn observed(&mut self) -> Value {
        let drops = self.take_drops();
        let (session, scheduled) = self.engine.session(ID).expect("the session was started");
        let general = json!({
            "sent": std::mem::take(&mut self.sent),
            "events": std::mem::take(&mut self.events),
            "state": session.state().name(),
            "reason": session.last_down_reason().name(),
            "peerDiscr": session.peer().discr,
        });
        let timing = json!({
            "txIntervalUs": session.tx_interval_us(),
            "detectTimeUs": session.detect_time_us(),
            "detectDeadlineUs": session.detect_deadline().map(Time::micros),
            "detectScheduledUs": scheduled.map(Time::micros),
            "nextTxUs": session.next_tx().map(Time::micros),
            "lastRxUs": session.last_rx().map(Time::micros),
        });
        let parts = [general, P::observed(session, drops), timing];
        parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
    }

    /// How many packets were dropped since the previous step, by reason.
    fn take_drops(&mut self) -> Map<String, Value> {
        let mut dropped = [0; DropReason::COUNT + 1];
        for (_, counters) in self.engine.stats().iter() {
            let counts = counters.rx_invalid.iter().chain([&counters.unknown_peer]);
            dropped.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let before = std::mem::replace(&mut self.dropped, dropped);
        let names = DropReason::NAMES.into_iter().chain(["unknown_peer"]);
        let counts = dropped.iter().zip(before).map(|(now, before)| now - before);
        names.zip(counts).filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), json!(count))).collect()
    }
}

fn rules_of(name: &str) -> &'static Rules {
    match name {
        "reference" => &REFERENCE,
        "robust" => &ROBUST,
        "rfc5880" => &RFC5880,
        other => panic!("no rules are named {other}"),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

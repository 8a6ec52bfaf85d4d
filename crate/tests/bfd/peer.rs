//! An engine with one session, and the peer that the test plays.

use std::net::IpAddr;

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Event, Path, SessionId, SessionSpec, Transition};
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::diagnostic::Diagnostic;
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::session::Session;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::protocol::{Header, Protocol};

pub(crate) const MS: u64 = 1_000;
pub(crate) const ID: SessionId = SessionId(1);
pub(crate) const PEER_DISCR: u32 = 99;

pub(crate) fn path(local: [u8; 4], peer: [u8; 4]) -> Path {
    Path { link: LinkId(1), local: IpAddr::from(local), peer: IpAddr::from(peer) }
}

pub(crate) fn usual_path() -> Path {
    path([10, 0, 0, 1], [10, 0, 0, 2])
}

pub(crate) fn timers(interval_ms: u32, detect_mult: u8) -> Timers {
    Timers { tx_min_us: interval_ms * 1_000, rx_min_us: interval_ms * 1_000, detect_mult }
}

/// A packet that was sent, and when.
pub(crate) type Sent = (Time, BfdPacket);

pub(crate) struct Bench {
    pub(crate) engine: Engine<Bfd>,
    pub(crate) discr: u32,
    pub(crate) path: Path,
    pub(crate) now: Time,
    /// The TTL that packets of the peer arrive with.
    pub(crate) ttl: Option<u8>,
    pub(crate) transitions: Vec<Transition>,
}

impl Bench {
    /// A session of 50 ms × 3.
    pub(crate) fn new(options: BfdOptions) -> Self {
        Self::with(options, usual_path(), None, timers(50, 3))
    }

    pub(crate) fn with(options: BfdOptions, path: Path, min_ttl: Option<u8>, timers: Timers) -> Self {
        let policy = Policy {
            rules: &RFC5880,
            min_tx_floor_us: 10_000,
            max_tx_ceil_us: 1_000_000,
            backoff_max_us: 1_000_000,
            require_discriminator: false,
            min_ttl: Bfd::MIN_TTL,
            identity: None,
        };
        let mut engine = Engine::<Bfd>::of_protocol(policy, 10, 7);
        let discr = engine.draw_discriminator();
        let now = Time::from_micros(1_000_000);
        let spec = SessionSpec { id: ID, path, peer_port: Bfd::PORT, timers, min_ttl };
        engine.add_session_with(now, spec, options, discr).expect("the engine has room");
        Self { engine, discr, path, now, ttl: Some(255), transitions: Vec::new() }
    }

    /// A session that is Up with a peer of 50 ms × 3, whose first Poll was answered.
    pub(crate) fn up() -> Self {
        let mut bench = Self::new(BfdOptions::default());
        bench.come_up();
        bench
    }

    pub(crate) fn come_up(&mut self) {
        self.hear(self.packet(State::Init));
        assert_eq!(self.state(), State::Up);
        self.run(MS);
        self.hear(BfdPacket { is_final: true, ..self.packet(State::Up) });
    }

    /// What a peer of 50 ms × 3 says.
    pub(crate) fn packet(&self, state: State) -> BfdPacket {
        BfdPacket {
            header: Header {
                state,
                detect_mult: 3,
                local_discr: PEER_DISCR,
                peer_discr: self.discr,
                desired_min_tx_us: 50_000,
                required_min_rx_us: 50_000,
            },
            diagnostic: Diagnostic::None,
            poll: false,
            is_final: false,
            demand: false,
            required_min_echo_rx_us: 0,
            authenticated: None,
        }
    }

    /// The packet arrives. What leaves at once is returned.
    pub(crate) fn hear(&mut self, packet: BfdPacket) -> Vec<BfdPacket> {
        let path = self.path;
        self.hear_bytes(path, &packet.marshal());
        self.drain().into_iter().map(|(_, packet)| packet).collect()
    }

    pub(crate) fn hear_bytes(&mut self, path: Path, bytes: &[u8]) {
        let datagram = Datagram { arrival: self.now, path, ttl: self.ttl, min_ttl: 0, bytes };
        self.engine.handle_datagram(self.now, datagram);
    }

    /// Runs the engine for this time, and returns what it sends.
    pub(crate) fn run(&mut self, us: u64) -> Vec<Sent> {
        let until = self.now.plus(us);
        let mut sent = Vec::new();
        while let Some(next) = self.engine.poll_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now, self.now);
            sent.extend(self.drain());
        }
        self.now = until;
        sent
    }

    /// Runs the engine while the peer says this every 40 ms, and returns what the engine sends.
    pub(crate) fn run_with(&mut self, us: u64, packet: BfdPacket) -> Vec<Sent> {
        let until = self.now.plus(us);
        let mut sent = Vec::new();
        while self.now < until {
            let now = self.now;
            sent.extend(self.hear(packet).into_iter().map(|packet| (now, packet)));
            sent.extend(self.run(40 * MS));
        }
        sent
    }

    fn drain(&mut self) -> Vec<Sent> {
        while let Some(event) = self.engine.poll_event() {
            if let Event::Transition(transition) = event {
                self.transitions.push(transition);
            }
        }
        let mut sent = Vec::new();
        while let Some(transmit) = self.engine.poll_transmit() {
            assert_eq!((transmit.path, transmit.peer_port), (self.path, Bfd::PORT));
            sent.push((self.now, BfdPacket::unmarshal(transmit.bytes.as_ref()).expect("a valid packet")));
        }
        sent
    }

    pub(crate) fn session(&self) -> &Session<Bfd> {
        self.engine.session(ID).expect("the session was added").0
    }

    pub(crate) fn state(&self) -> State {
        self.session().state()
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.engine.stats().iter().map(|(_, counters)| counters.rx_invalid[reason as usize]).sum()
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.engine.stats().iter().map(|(_, counters)| counters.unknown_peer).sum()
    }
}

pub(crate) fn gaps(sent: &[Sent]) -> Vec<u64> {
    sent.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect()
}

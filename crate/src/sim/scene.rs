//! The state of a simulated world at one point in time: the hosts, the pairs of sessions between them, and the network.

use crate::engine::{SessionId, SessionSpec};
use crate::protocol::Protocol;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::liveness::Liveness;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::host::Host;
use crate::sim::network::{HostId, Network};
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::wire::path_of;

/// Two sessions that are each other's peers. The number of the pair is the id of both sessions.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The two hosts.
    pub hosts: [HostId; 2],
    /// The timers of each side.
    pub timers: [Timers; 2],
    /// The options of each side, where the hosts speak BFD.
    pub bfd: [BfdOptions; 2],
}

/// The number of a pair, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// Hosts, pairs and the network.
pub struct Scene<P: SimulatedProtocol = Liveness> {
    /// The time of the world.
    pub now: Time,
    /// The hosts, by their numbers.
    pub hosts: Vec<Host<P>>,
    /// The network between them.
    pub network: Network,
    pub(super) pairs: Vec<Pair>,
}

impl<P: SimulatedProtocol> Scene<P> {
    /// A host.
    ///
    /// # Panics
    /// If no host has this number; so does every function that takes a `HostId`.
    #[must_use]
    pub fn host(&self, id: HostId) -> &Host<P> {
        &self.hosts[usize::from(id.0) - 1]
    }

    pub(super) fn host_mut(&mut self, id: HostId) -> &mut Host<P> {
        &mut self.hosts[usize::from(id.0) - 1]
    }

    /// A pair.
    #[must_use]
    pub fn pair(&self, id: PairId) -> &Pair {
        &self.pairs[id.0 as usize - 1]
    }

    /// The numbers of all pairs.
    pub fn pair_ids(&self) -> impl Iterator<Item = PairId> + use<P> {
        (1..=self.pairs.len() as u32).map(PairId)
    }

    /// The states of a pair's sessions; `None` for a host whose process does not run.
    #[must_use]
    pub fn states(&self, id: PairId) -> [Option<State>; 2] {
        self.pair(id).hosts.map(|host| {
            let host = self.host(host);
            let (session, _) = host.engine.session(id.session()).filter(|_| host.alive)?;
            Some(session.state())
        })
    }

    /// Whether both sessions of a pair are Up.
    #[must_use]
    pub fn is_up(&self, id: PairId) -> bool {
        self.states(id) == [Some(State::Up); 2]
    }

    /// Whether the processes of all hosts run.
    #[must_use]
    pub fn all_alive(&self) -> bool {
        self.hosts.iter().all(|host| host.alive)
    }

    /// Whether all sessions are Up.
    #[must_use]
    pub fn all_up(&self) -> bool {
        self.pair_ids().all(|id| self.is_up(id))
    }
}

impl PairId {
    /// The id of both sessions of the pair.
    #[must_use]
    pub fn session(self) -> SessionId {
        SessionId(self.0)
    }
}

impl Pair {
    /// The session of one side.
    #[must_use]
    pub fn spec<P: Protocol>(&self, id: PairId, side: usize) -> SessionSpec {
        let path = path_of(self.hosts[side], self.hosts[1 - side], id.0);
        SessionSpec { id: id.session(), path, peer_port: P::PORT, timers: self.timers[side], min_ttl: None }
    }
}

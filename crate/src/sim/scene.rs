//! What there is in a simulated world: hosts, pairs of sessions between them, and the network, at one point in time.

use crate::engine::{SessionId, SessionSpec};
use crate::protocol::Protocol;
use crate::protocol::liveness::Liveness;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::host::Host;
use crate::sim::network::{HostId, Network};
use crate::sim::wire::path_of;

/// Two sessions that watch each other. Both have the pair's number as their id.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub hosts: [HostId; 2],
    pub timers: [Timers; 2],
}

/// Names a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// Hosts, pairs and the network.
pub struct Scene {
    pub now: Time,
    pub hosts: Vec<Host>,
    pub network: Network,
    pub(super) pairs: Vec<Pair>,
}

impl Scene {
    /// # Panics
    /// Where there is none of this number, as all that names a host.
    #[must_use]
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[usize::from(id.0) - 1]
    }

    pub(super) fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[usize::from(id.0) - 1]
    }

    #[must_use]
    pub fn pair(&self, id: PairId) -> &Pair {
        &self.pairs[id.0 as usize - 1]
    }

    pub fn pair_ids(&self) -> impl Iterator<Item = PairId> + use<> {
        (1..=self.pairs.len() as u32).map(PairId)
    }

    /// The states of a pair's sessions; `None` for a host whose process is not there.
    #[must_use]
    pub fn states(&self, id: PairId) -> [Option<State>; 2] {
        self.pair(id).hosts.map(|host| self.host(host).engine.session(id.session()).map(|(session, _)| session.state()))
    }

    #[must_use]
    pub fn is_up(&self, id: PairId) -> bool {
        self.states(id) == [Some(State::Up); 2]
    }

    #[must_use]
    pub fn all_up(&self) -> bool {
        self.pair_ids().all(|id| self.is_up(id))
    }
}

impl PairId {
    #[must_use]
    pub fn session(self) -> SessionId {
        SessionId(self.0)
    }
}

impl Pair {
    /// The session of one side.
    #[must_use]
    pub fn spec(&self, id: PairId, side: usize) -> SessionSpec {
        let path = path_of(self.hosts[side], self.hosts[1 - side], id.0);
        SessionSpec { id: id.session(), path, peer_port: Liveness::PORT, timers: self.timers[side], min_ttl: None }
    }
}

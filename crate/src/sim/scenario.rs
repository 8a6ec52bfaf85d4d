//! A run as it is described: who is there, what is done to them, and when. The same description is the same run.

use thiserror::Error;

use crate::protocol::timers::Timers;
use crate::sim::host_spec::{HostSpec, RouteKind};
use crate::sim::kernel::{KernelFaults, RivalAct};
use crate::sim::network::{HostId, Quality};
use crate::sim::scene::PairId;
use crate::sim::violation::Violation;
use crate::sim::world::World;

const SECOND_US: u64 = 1_000_000;

/// After the last fault everything is well again for so long.
const PEACE_US: u64 = 60 * SECOND_US;

/// In that time every route is where it belongs, however often that was tried before.
const SETTLE_US: u64 = 200 * SECOND_US;

#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub seed: u64,
    pub hosts: Vec<HostSpec>,
    pub pairs: Vec<PairSpec>,
    pub quality: Quality,
    pub duration_us: u64,
    pub faults: Vec<Timed>,
}

/// Two sessions that watch each other; hosts count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    pub hosts: [usize; 2],
    pub timers: [Timers; 2],
    pub routes: [Vec<RouteKind>; 2],
}

#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub at_us: u64,
    pub fault: Fault,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Cut {
        from: usize,
        to: usize,
    },
    CutBoth {
        hosts: [usize; 2],
    },
    Partition {
        part: Vec<usize>,
    },
    HealAll,
    Quality {
        from: usize,
        to: usize,
        quality: Quality,
    },
    Restart {
        host: usize,
        pause_us: u64,
        /// The new process adopts the routes that the old one left, or takes them away.
        adopts: bool,
    },
    Stall {
        host: usize,
        us: u64,
    },
    AdminDown {
        pair: usize,
        side: usize,
    },
    AdminUp {
        pair: usize,
        side: usize,
    },
    /// Of a host's routes this one alone, where there is one.
    AdminRoute {
        host: usize,
        route: usize,
        down: bool,
    },
    /// Somebody else does this with the slot of a host's route, where there is one.
    Route {
        host: usize,
        route: usize,
        change: RivalAct,
    },
    /// A link of a host's goes for a moment, and with it the host's routes over it.
    Flush {
        host: usize,
        link: u32,
    },
    Timers {
        pair: usize,
        side: usize,
        timers: Timers,
    },
    Kernel {
        host: usize,
        faults: KernelFaults,
    },
}

/// A scenario that cannot be run, and the field that is why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{field}` {problem}")]
pub struct ScenarioError {
    pub field: String,
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The time of the run, once for each session.
    pub session_us: u64,
    pub transitions: u64,
    pub steps: u64,
}

impl Scenario {
    /// # Errors
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        within("hosts", self.hosts.len() as u64, 1, 254)?;
        for (at, host) in self.hosts.iter().enumerate() {
            host.validate().map_err(|error| error.inside(&format!("hosts[{at}]")))?;
        }
        self.quality.validate().map_err(|error| error.inside("quality"))?;
        for (at, pair) in self.pairs.iter().enumerate() {
            self.validate_pair(pair).map_err(|error| error.inside(&format!("pairs[{at}]")))?;
        }
        for (at, Timed { at_us, fault }) in self.faults.iter().enumerate() {
            let here = format!("faults[{at}]");
            within("at_us", *at_us, 0, self.duration_us).map_err(|error| error.inside(&here))?;
            self.validate_fault(fault).map_err(|error| error.inside(&here))?;
        }
        within("duration_us", self.duration_us, 0, 1 << 50)
    }

    fn validate_pair(&self, pair: &PairSpec) -> Result<(), ScenarioError> {
        for host in pair.hosts {
            self.validate_host(host)?;
        }
        if pair.hosts[0] == pair.hosts[1] {
            return Err(ScenarioError::new("hosts", "names one host twice"));
        }
        pair.timers.iter().try_for_each(validate_timers)
    }

    fn validate_host(&self, host: usize) -> Result<(), ScenarioError> {
        within("host", host as u64, 0, (self.hosts.len() - 1) as u64)
    }

    fn validate_fault(&self, fault: &Fault) -> Result<(), ScenarioError> {
        let pair_and_side = |pair: usize, side: usize| {
            let most = self
                .pairs
                .len()
                .checked_sub(1)
                .ok_or_else(|| ScenarioError::new("pair", "is given, and there are no pairs"))?;
            within("pair", pair as u64, 0, most as u64)?;
            within("side", side as u64, 0, 1)
        };
        match fault {
            Fault::Cut { from, to } | Fault::CutBoth { hosts: [from, to] } => {
                self.validate_host(*from)?;
                self.validate_host(*to)
            }
            Fault::Quality { from, to, quality } => {
                self.validate_host(*from)?;
                self.validate_host(*to)?;
                quality.validate()
            }
            Fault::Partition { part } => part.iter().try_for_each(|host| self.validate_host(*host)),
            Fault::HealAll => Ok(()),
            Fault::Restart { host, .. }
            | Fault::Stall { host, .. }
            | Fault::AdminRoute { host, .. }
            | Fault::Route { host, .. }
            | Fault::Flush { host, .. } => self.validate_host(*host),
            Fault::AdminDown { pair, side } | Fault::AdminUp { pair, side } => pair_and_side(*pair, *side),
            Fault::Timers { pair, side, timers } => {
                pair_and_side(*pair, *side)?;
                validate_timers(timers)
            }
            Fault::Kernel { host, faults } => {
                self.validate_host(*host)?;
                faults.validate()
            }
        }
    }

    /// Runs the scenario, then has everything well for a minute: every pair comes up, every route settles.
    ///
    /// # Errors
    /// Where the scenario makes no sense, or something happened that must not.
    pub fn run(&self) -> Result<Totals, RunError> {
        self.validate()?;
        let mut world = World::new(self.seed, self.quality).watched();
        for spec in &self.hosts {
            let id = world.add_host(*spec);
            world.host_mut(id).record = false;
        }
        for pair in &self.pairs {
            world.add_pair(pair.hosts.map(host_id), pair.timers, [&pair.routes[0], &pair.routes[1]]);
        }
        let began = world.now;
        let mut faults: Vec<&Timed> = self.faults.iter().collect();
        faults.sort_by_key(|timed| timed.at_us);
        for Timed { at_us, fault } in faults {
            let wait_us = began.plus(*at_us).since(world.now);
            world.run(wait_us)?;
            fault.apply(&mut world);
        }
        world.run(began.plus(self.duration_us).since(world.now))?;
        self.end(&mut world)?;
        let sessions = 2 * self.pairs.len() as u64;
        Ok(Totals {
            session_us: world.now.since(began) * sessions,
            transitions: world.transition_count(),
            steps: world.steps(),
        })
    }

    fn end(&self, world: &mut World) -> Result<(), Violation> {
        world.heal_all();
        let ids: Vec<HostId> = (0..self.hosts.len()).map(host_id).collect();
        for &from in &ids {
            world.set_kernel_faults(from, KernelFaults::default());
            world.vacate(from);
            for &to in ids.iter().filter(|to| **to != from) {
                let quality = world.network.quality(from, to);
                world.set_quality(from, to, Quality { loss_ppm: 0, corrupt_ppm: 0, ..quality });
            }
        }
        for pair in (1..=self.pairs.len() as u32).map(PairId) {
            for side in 0..2 {
                world.admin(pair, side, false);
            }
        }
        world.run(PEACE_US)?;
        if world.run_until(SETTLE_US, World::is_settled)?.is_none() {
            return Err(Violation::new(world.now, "routes do not settle"));
        }
        world.check()
    }
}

impl Fault {
    fn apply(&self, world: &mut World) {
        match *self {
            Fault::Cut { from, to } => world.cut(host_id(from), host_id(to)),
            Fault::CutBoth { hosts: [one, other] } => world.cut_both(host_id(one), host_id(other)),
            Fault::Partition { ref part } => {
                let part: Vec<HostId> = part.iter().copied().map(host_id).collect();
                world.partition(&part);
            }
            Fault::HealAll => world.heal_all(),
            Fault::Quality { from, to, quality } => world.set_quality(host_id(from), host_id(to), quality),
            Fault::Restart { host, pause_us, adopts } => world.restart(host_id(host), pause_us, adopts),
            Fault::Route { host, route, change } => world.change_route(host_id(host), route, change),
            Fault::Flush { host, link } => world.flush(host_id(host), link),
            Fault::Stall { host, us } => world.stall(host_id(host), us),
            Fault::AdminDown { pair, side } => world.admin(pair_id(pair), side, true),
            Fault::AdminUp { pair, side } => world.admin(pair_id(pair), side, false),
            Fault::AdminRoute { host, route, down } => world.admin_route(host_id(host), route, down),
            Fault::Timers { pair, side, timers } => world.set_timers(pair_id(pair), side, timers),
            Fault::Kernel { host, faults } => world.set_kernel_faults(host_id(host), faults),
        }
    }
}

impl HostSpec {
    /// # Errors
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        within("min_tx_floor_us", self.min_tx_floor_us.into(), 1, self.max_tx_ceil_us.into())?;
        within("backoff_max_us", self.backoff_max_us.into(), self.min_tx_floor_us.into(), 3_600_000_000)?;
        within("clock_ppm", self.clock_ppm.unsigned_abs().into(), 0, 500)?;
        within("read_budget", self.read_budget as u64, 1, 1 << 20)?;
        within("socket_room", self.socket_room as u64, 1, 1 << 20)?;
        within("send_room", self.send_room as u64, 2, 1 << 20)?;
        self.kernel.validate().map_err(|error| error.inside("kernel"))
    }
}

impl Quality {
    pub(super) fn validate(&self) -> Result<(), ScenarioError> {
        within("delay_us", self.delay_us, 0, 60 * SECOND_US)?;
        within("jitter_us", self.jitter_us, 0, 60 * SECOND_US)?;
        share("loss_ppm", self.loss_ppm)?;
        share("duplicate_ppm", self.duplicate_ppm)?;
        share("reorder_ppm", self.reorder_ppm)?;
        share("corrupt_ppm", self.corrupt_ppm)
    }
}

impl KernelFaults {
    fn validate(&self) -> Result<(), ScenarioError> {
        within("latency_us", self.latency_us, 0, 60 * SECOND_US)?;
        share("hang_ppm", self.hang_ppm)?;
        share("fail_ppm", self.fail_ppm)?;
        share("lose_ppm", self.lose_ppm)?;
        share("rival_ppm", self.rival_ppm)
    }
}

impl ScenarioError {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

fn validate_timers(timers: &Timers) -> Result<(), ScenarioError> {
    within("timers.tx_min_us", timers.tx_min_us.into(), 1, 60 * SECOND_US)?;
    within("timers.rx_min_us", timers.rx_min_us.into(), 1, 60 * SECOND_US)?;
    within("timers.detect_mult", timers.detect_mult.into(), 1, 255)
}

fn share(field: &str, ppm: u32) -> Result<(), ScenarioError> {
    within(field, ppm.into(), 0, SECOND_US)
}

pub(super) fn within(field: &str, value: u64, least: u64, most: u64) -> Result<(), ScenarioError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::new(field, format!("is {value}, and has to be from {least} to {most}")))
}

fn host_id(index: usize) -> HostId {
    HostId(index as u8 + 1)
}

fn pair_id(index: usize) -> PairId {
    PairId(index as u32 + 1)
}

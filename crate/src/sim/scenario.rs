//! The description of a run: hosts, pairs of sessions, and faults with their times. The same description gives the same run.

use thiserror::Error;

use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::liveness::Liveness;
use crate::protocol::timers::Timers;
use crate::routes::armed::ObjectPolicy;
use crate::routes::next_hop::ObjectRange;
use crate::sim::fault::{Fault, Timed, host_id};
use crate::sim::faulty_tables::KernelFaults;
use crate::sim::host::Host;
use crate::sim::host_spec::{BackupKind, HostSpec, RouteKind};
use crate::sim::network::{HostId, Quality};
use crate::sim::route_counts::RouteCounts;
use crate::sim::scene::PairId;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;
use crate::sim::world::World;

const SECOND_US: u64 = 1_000_000;

/// After the scenario the world runs this long without faults.
const PEACE_US: u64 = 60 * SECOND_US;

/// Within this time after `PEACE_US` every route follows its session, however often its requests failed before.
const SETTLE_US: u64 = 200 * SECOND_US;

/// So long after the withdrawal of all routes nothing of them is left: an object that could not be deleted is deleted again.
const WITHDRAWAL_US: u64 = 30 * SECOND_US;

/// A run: the hosts, the network between them, and what is done to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Seeds every generator of the run.
    pub seed: u64,
    /// The hosts. Pairs and faults name them by their position, from 0.
    pub hosts: Vec<HostSpec>,
    /// The pairs of sessions. Faults name them by their position, from 0.
    pub pairs: Vec<PairSpec>,
    /// The quality of every path that no fault has changed.
    pub quality: Quality,
    /// How long the scenario lasts, in microseconds.
    pub duration_us: u64,
    /// The faults, in any order.
    pub faults: Vec<Timed>,
}

/// Two sessions that watch each other; hosts count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    /// The two hosts.
    pub hosts: [usize; 2],
    /// The timers of each side.
    pub timers: [Timers; 2],
    /// The routes of each side.
    pub routes: [Vec<RouteKind>; 2],
    /// The options of each side, where the hosts speak BFD.
    pub bfd: [BfdOptions; 2],
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{field}` {problem}")]
pub struct ScenarioError {
    /// The path of the field that is not valid.
    pub field: String,
    /// What is wrong with its value.
    pub problem: String,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// The scenario is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// An invariant was violated.
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// The counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The simulated time, summed over all sessions, in microseconds.
    pub session_us: u64,
    /// The transitions of all sessions.
    pub transitions: u64,
    /// The steps of the world: how many times its clock moved.
    pub steps: u64,
    /// Packets that filters of repeats took in.
    pub repeats: u64,
    /// What has happened to routes.
    pub routes: RouteCounts,
}

impl Scenario {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not valid.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        within("hosts", self.hosts.len() as u64, 1, 254)?;
        for (at, host) in self.hosts.iter().enumerate() {
            host.validate().map_err(|error| error.inside(&format!("hosts[{at}]")))?;
        }
        self.quality.validate().map_err(|error| error.inside("quality"))?;
        for (at, pair) in self.pairs.iter().enumerate() {
            self.validate_pair(at, pair).map_err(|error| error.inside(&format!("pairs[{at}]")))?;
        }
        for (at, Timed { at_us, fault }) in self.faults.iter().enumerate() {
            let here = format!("faults[{at}]");
            within("at_us", *at_us, 0, self.duration_us).map_err(|error| error.inside(&here))?;
            self.validate_fault(fault).map_err(|error| error.inside(&here))?;
        }
        within("duration_us", self.duration_us, 0, 1 << 50)
    }

    fn validate_pair(&self, at: usize, pair: &PairSpec) -> Result<(), ScenarioError> {
        for host in pair.hosts {
            self.validate_host(host)?;
        }
        if pair.hosts[0] == pair.hosts[1] {
            return Err(ScenarioError::new("hosts", "names one host twice"));
        }
        for (side, kinds) in pair.routes.iter().enumerate() {
            let backups = kinds.iter().filter_map(|kind| kind.backup);
            backups.into_iter().try_for_each(|backup| self.validate_backup(at, pair.hosts[side], &backup))?;
        }
        pair.timers.iter().try_for_each(validate_timers)
    }

    fn validate_backup(&self, pair: usize, host: usize, backup: &BackupKind) -> Result<(), ScenarioError> {
        within("backup.link", backup.link.into(), 1, 999)?;
        let watcher = (backup.link as usize - 1 != pair).then(|| self.pairs.get(backup.link as usize - 1)).flatten();
        let has_session = watcher.is_some_and(|watcher| watcher.hosts.contains(&host));
        if backup.is_watched && !has_session {
            return Err(ScenarioError::new("backup.link", "is that of no other session of the host"));
        }
        Ok(())
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
                .ok_or_else(|| ScenarioError::new("pair", "names a pair, but the scenario has none"))?;
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
            | Fault::RestartWithState { host, .. }
            | Fault::Stall { host, .. }
            | Fault::AdminRoute { host, .. }
            | Fault::Route { host, .. }
            | Fault::Object { host, .. }
            | Fault::Link { host, .. }
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

    /// Runs the scenario, then a minute without faults, in which every pair must come Up; then every route must settle.
    ///
    /// # Errors
    /// The scenario is not valid, or an invariant was violated.
    pub fn run(&self) -> Result<Totals, RunError> {
        self.run_as::<Liveness>()
    }

    /// As `run`, with hosts that speak this protocol.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_as<P: SimulatedProtocol>(&self) -> Result<Totals, RunError> {
        self.validate()?;
        let mut world = World::<P>::of_protocol(self.seed, self.quality).watched();
        for spec in &self.hosts {
            let id = world.add_host(*spec);
            world.host_mut(id).record = false;
        }
        for pair in &self.pairs {
            let routes = [&pair.routes[0][..], &pair.routes[1]];
            world.add_pair_with(pair.hosts.map(host_id), pair.timers, pair.bfd.clone(), routes);
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
            repeats: world.hosts_mut().iter().map(Host::repeats).sum(),
            routes: world.route_counts(),
        })
    }

    fn end<P: SimulatedProtocol>(&self, world: &mut World<P>) -> Result<(), Violation> {
        world.heal_all();
        let ids: Vec<HostId> = (0..self.hosts.len()).map(host_id).collect();
        for &from in &ids {
            world.set_kernel_faults(from, KernelFaults::default());
            world.remove_rivals(from);
            world.restore_links(from);
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
        // A process that ended late in the scenario begins again.
        let is_settled = |world: &World<P>| world.all_alive() && world.is_settled();
        if world.run_until(SETTLE_US, is_settled)?.is_none() {
            return Err(Violation::new(world.now, "the routes did not settle"));
        }
        world.check()?;
        world.withdraw_routes();
        world.run(WITHDRAWAL_US)?;
        if world.run_until(SETTLE_US, World::<P>::is_settled)?.is_none() {
            return Err(Violation::new(world.now, "the withdrawn routes did not settle"));
        }
        world.check_withdrawn()
    }
}

impl HostSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not valid.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        within("min_tx_floor_us", self.min_tx_floor_us.into(), 1, self.max_tx_ceil_us.into())?;
        within("backoff_max_us", self.backoff_max_us.into(), self.min_tx_floor_us.into(), 3_600_000_000)?;
        within("clock_ppm", self.clock_ppm.unsigned_abs().into(), 0, 500)?;
        within("read_budget", self.read_budget as u64, 1, 1 << 20)?;
        if let Some(ObjectPolicy { range: ObjectRange { first, last }, routes_per_object }) = self.objects {
            within("objects.range.first", first.into(), 1, last.into())?;
            within("objects.routes_per_object", routes_per_object.into(), 1, u32::MAX.into())?;
        }
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
        share("rival_ppm", self.rival_ppm)?;
        share("lie_ppm", self.lie_ppm)
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

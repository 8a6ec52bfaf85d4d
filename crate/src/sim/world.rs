//! The simulated world: one virtual clock, the faults that can be injected, and the step to the next event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Deref;

use crate::engine::Transition;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::liveness::Liveness;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::faulty_tables::KernelFaults;
use crate::sim::host::Host;
use crate::sim::host_spec::{HostSpec, RouteKind};
use crate::sim::network::{HostId, Network, Quality};
use crate::sim::random::Random;
use crate::sim::recovery_checks::RecoveryChecks;
use crate::sim::rival::{ObjectAct, RivalAct};
use crate::sim::route_counts::RouteCounts;
use crate::sim::scene::{Pair, PairId, Scene};
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;
use crate::sim::wire::path_of;

/// The clock of the world starts at one second, so that earlier times can be subtracted from it.
const BEGINNING: Time = Time::from_micros(1_000_000);

/// How a process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Start {
    /// With new discriminators. It adopts the routes in the kernel if `adopts` is set, and deletes them otherwise.
    Anew { adopts: bool },
    /// It goes on with the sessions of the state file.
    WithState,
}

/// A simulated world.
pub struct World<P: SimulatedProtocol = Liveness> {
    scene: Scene<P>,
    random: Random,
    starts: BinaryHeap<Reverse<(Time, HostId, Start)>>,
    recovery_checks: Option<RecoveryChecks>,
    steps: u64,
}

impl<P: SimulatedProtocol> Deref for World<P> {
    type Target = Scene<P>;

    fn deref(&self) -> &Scene<P> {
        &self.scene
    }
}

impl World {
    /// A world of the liveness protocol without hosts. The seed determines every run; `usual` is the quality of every path.
    #[must_use]
    pub fn new(seed: u64, usual: Quality) -> Self {
        Self::of_protocol(seed, usual)
    }
}

impl<P: SimulatedProtocol> World<P> {
    /// A world of any protocol without hosts. The seed determines every run; `usual` is the quality of every path.
    #[must_use]
    pub fn of_protocol(seed: u64, usual: Quality) -> Self {
        let mut random = Random::new(seed);
        Self {
            scene: Scene {
                now: BEGINNING,
                hosts: Vec::new(),
                network: Network::new(random.fork(), usual),
                pairs: Vec::new(),
            },
            random,
            starts: BinaryHeap::new(),
            recovery_checks: None,
            steps: 0,
        }
    }

    /// Also checks pairs of hosts: recovery, one-way cuts, and no change of state while no fault is injected.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.recovery_checks = Some(RecoveryChecks::default());
        self
    }

    /// A host.
    ///
    /// # Panics
    /// If no host has this number.
    pub fn host_mut(&mut self, id: HostId) -> &mut Host<P> {
        self.scene.host_mut(id)
    }

    /// All hosts, by their numbers.
    pub fn hosts_mut(&mut self) -> &mut [Host<P>] {
        &mut self.scene.hosts
    }

    /// Adds a host. Hosts are numbered from 1.
    ///
    /// # Panics
    /// With more than 254 hosts.
    pub fn add_host(&mut self, spec: HostSpec) -> HostId {
        let id = HostId(u8::try_from(self.scene.hosts.len() + 1).expect("at most 254 hosts"));
        self.scene.hosts.push(Host::new(id, spec, self.random.fork()));
        id
    }

    /// Adds a pair of sessions between two hosts, with the routes of each side.
    pub fn add_pair(&mut self, hosts: [HostId; 2], timers: [Timers; 2], routes: [&[RouteKind]; 2]) -> PairId {
        self.add_pair_with(hosts, timers, <[BfdOptions; 2]>::default(), routes)
    }

    /// As `add_pair`, with the options of each side where the hosts speak BFD.
    pub fn add_pair_with(
        &mut self,
        hosts: [HostId; 2],
        timers: [Timers; 2],
        bfd: [BfdOptions; 2],
        routes: [&[RouteKind]; 2],
    ) -> PairId {
        let id = PairId(u32::try_from(self.scene.pairs.len() + 1).expect("fewer pairs than numbers"));
        let pair = Pair { hosts, timers, bfd };
        self.scene.pairs.push(pair.clone());
        let now = self.scene.now;
        for side in 0..2 {
            let spec = pair.spec::<P>(id, side);
            self.host_mut(hosts[side]).add_session(spec, P::options(&pair.bfd[side]), now, routes[side]);
        }
        self.disturbed(id);
        id
    }

    /// Loses every packet that is sent from one host to another from now on. Packets under way arrive.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        self.scene.network.cut(from, to, self.scene.now);
        self.disturbed_between(from, to);
    }

    /// Loses every packet between two hosts from now on.
    pub fn cut_both(&mut self, first: HostId, second: HostId) {
        self.cut(first, second);
        self.cut(second, first);
    }

    /// Cuts every path between the given hosts and the others.
    pub fn partition(&mut self, part: &[HostId]) {
        let ids: Vec<HostId> = self.scene.hosts.iter().map(|host| host.id).collect();
        for &inside in part {
            for &outside in ids.iter().filter(|id| !part.contains(id)) {
                self.cut_both(inside, outside);
            }
        }
    }

    /// Ends the cut of one path.
    pub fn heal(&mut self, from: HostId, to: HostId) {
        self.scene.network.heal(from, to);
        self.host_mut(from).answered(to);
        self.disturbed_between(from, to);
    }

    /// Ends every cut.
    pub fn heal_all(&mut self) {
        let ids: Vec<HostId> = self.scene.hosts.iter().map(|host| host.id).collect();
        for &from in &ids {
            for &to in &ids {
                if self.scene.network.cut_since(from, to).is_some() {
                    self.heal(from, to);
                }
            }
        }
    }

    /// Sets the quality of one path.
    pub fn set_quality(&mut self, from: HostId, to: HostId, quality: Quality) {
        self.scene.network.set_quality(from, to, quality);
        self.disturbed_between(from, to);
    }

    /// Ends the process of a host without an announcement.
    pub fn kill(&mut self, id: HostId) {
        self.host_mut(id).kill();
        self.disturbed_at(id);
    }

    /// Ends the process of a host and starts another after a pause, with new discriminators. The new process adopts the routes in
    /// the kernel if `adopts` is set, and deletes them otherwise.
    pub fn restart(&mut self, id: HostId, pause_us: u64, adopts: bool) {
        self.kill(id);
        if pause_us == 0 {
            self.start(id, Start::Anew { adopts });
        } else {
            self.starts.push(Reverse((self.scene.now.plus(pause_us), id, Start::Anew { adopts })));
        }
    }

    /// Ends the process of a host at any moment, and starts another after a pause, which goes on with the sessions of its state
    /// file and adopts the routes.
    pub fn restart_with_state(&mut self, id: HostId, pause_us: u64) {
        if !self.host(id).alive {
            return;
        }
        self.host_mut(id).leave();
        for pair in self.pair_ids() {
            if self.pair(pair).hosts.contains(&id)
                && let Some(checks) = &mut self.recovery_checks
            {
                checks.restarted(&self.scene, pair, id, pause_us);
            }
        }
        self.starts.push(Reverse((self.scene.now.plus(pause_us), id, Start::WithState)));
    }

    fn start(&mut self, id: HostId, how: Start) {
        if self.host(id).alive {
            return;
        }
        let now = self.scene.now;
        match how {
            Start::Anew { adopts } => {
                self.host_mut(id).start(now, adopts);
                self.disturbed_at(id);
            }
            Start::WithState => {
                self.host_mut(id).resume(now);
                for pair in self.pair_ids() {
                    if self.pair(pair).hosts.contains(&id)
                        && let Some(checks) = &mut self.recovery_checks
                    {
                        checks.resumed(&self.scene, pair);
                    }
                }
            }
        }
    }

    /// Keeps the thread of a host from running, for this time in microseconds.
    pub fn stall(&mut self, id: HostId, us: u64) {
        let until = self.scene.now.plus(us);
        self.host_mut(id).stall(until);
        self.disturbed_at(id);
    }

    /// Takes one side's session and its routes out of service, or puts them back.
    pub fn admin(&mut self, id: PairId, side: usize, down: bool) {
        let (host, now) = (self.pair(id).hosts[side], self.scene.now);
        if self.host(host).alive {
            self.host_mut(host).admin(id.session(), down, now);
        }
        self.disturbed(id);
    }

    /// Takes one route of a host out of service, or puts it back. Routes are numbered in the order in which they were added.
    pub fn admin_route(&mut self, id: HostId, route: usize, down: bool) {
        let now = self.scene.now;
        if self.host(id).alive {
            self.host_mut(id).admin_route(route, down, now);
        }
    }

    /// Another process changes the slot of a host's route.
    pub fn change_route(&mut self, id: HostId, route: usize, change: RivalAct) {
        let now = self.scene.now;
        self.host_mut(id).change_route(route, change, now);
    }

    /// A link of a host goes down and up: the kernel drops the routes over it.
    pub fn flush(&mut self, id: HostId, link: u32) {
        let now = self.scene.now;
        self.host_mut(id).flush(link, now);
    }

    /// Another process does something to the number of a next-hop object of a host.
    pub fn change_object(&mut self, id: HostId, object: u32, act: ObjectAct) {
        let now = self.scene.now;
        self.host_mut(id).change_object(object, act, now);
    }

    /// Other processes delete their routes and next-hop objects on a host.
    pub fn remove_rivals(&mut self, id: HostId) {
        let now = self.scene.now;
        self.host_mut(id).remove_rivals(now);
    }

    /// A link of a host is removed. Links with the number of a pair are those of its sessions.
    pub fn remove_link(&mut self, id: HostId, link: u32) {
        let now = self.scene.now;
        self.host_mut(id).remove_link(link, now);
        self.disturbed_at(id);
    }

    /// A link of a host that was removed comes back.
    pub fn restore_link(&mut self, id: HostId, link: u32) {
        let now = self.scene.now;
        self.host_mut(id).restore_link(link, now);
        self.disturbed_at(id);
    }

    /// All links of a host that were removed come back.
    pub fn restore_links(&mut self, id: HostId) {
        let now = self.scene.now;
        self.host_mut(id).restore_links(now);
        self.disturbed_at(id);
    }

    /// Withdraws all routes of all hosts.
    pub fn withdraw_routes(&mut self) {
        let now = self.scene.now;
        self.scene.hosts.iter_mut().for_each(|host| host.withdraw_routes(now));
    }

    /// Checks, after `withdraw_routes`, that no host has left anything.
    ///
    /// # Errors
    /// As `run`.
    pub fn check_withdrawn(&self) -> Result<(), Violation> {
        let now = self.scene.now;
        let check = |host: &Host<P>| host.check_withdrawn(now).map_err(|violation| self.locate(host.id, &violation));
        self.scene.hosts.iter().try_for_each(check)
    }

    /// What has happened to the routes of all hosts.
    #[must_use]
    pub fn route_counts(&self) -> RouteCounts {
        let mut sum = RouteCounts::default();
        self.scene.hosts.iter().for_each(|host| sum.add(&host.route_counts()));
        sum
    }

    /// Gives one side's session other timers.
    pub fn set_timers(&mut self, id: PairId, side: usize, timers: Timers) {
        self.scene.pairs[id.0 as usize - 1].timers[side] = timers;
        let (spec, host) = (self.pair(id).spec::<P>(id, side), self.pair(id).hosts[side]);
        let now = self.scene.now;
        self.host_mut(host).update(spec, now);
        if let Some(checks) = &mut self.recovery_checks {
            checks.timers_changed(&self.scene, id);
        }
    }

    /// Sets the faults of a host's kernel.
    pub fn set_kernel_faults(&mut self, id: HostId, faults: KernelFaults) {
        self.host_mut(id).set_kernel_faults(faults);
    }

    /// Runs for this time in microseconds.
    ///
    /// # Errors
    /// The first violated invariant.
    pub fn run(&mut self, us: u64) -> Result<(), Violation> {
        let until = self.scene.now.plus(us);
        while self.step(until)? {}
        self.scene.now = until;
        Ok(())
    }

    /// Runs until the condition holds, and returns how long that took; `None` if it does not hold within `at_most_us`.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_until(
        &mut self,
        at_most_us: u64,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<Option<u64>, Violation> {
        let began = self.scene.now;
        let until = self.scene.now.plus(at_most_us);
        loop {
            if holds(self) {
                return Ok(Some(self.scene.now.since(began)));
            }
            if !self.step(until)? {
                return Ok(None);
            }
        }
    }

    /// Takes the recorded transitions of all hosts.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        self.scene.hosts.iter_mut().flat_map(|host| std::mem::take(&mut host.transitions)).collect()
    }

    /// The number of transitions of all hosts so far.
    #[must_use]
    pub fn transition_count(&self) -> u64 {
        self.scene.hosts.iter().map(|host| host.transition_count).sum()
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether no route operation is under way on any host.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.scene.hosts.iter().all(Host::<P>::is_settled)
    }

    /// Checks the timers of every session, and the counters.
    ///
    /// # Errors
    /// As `run`.
    pub fn check(&self) -> Result<(), Violation> {
        self.scene
            .hosts
            .iter()
            .try_for_each(|host| host.check(self.scene.now).map_err(|violation| self.locate(host.id, &violation)))
    }

    /// Moves the clock to the next event and handles it. False if there is none up to `until`.
    fn step(&mut self, until: Time) -> Result<bool, Violation> {
        let arrival = self.scene.network.next_arrival();
        let start = self.starts.peek().map(|Reverse((at, ..))| *at);
        let check = self.recovery_checks.as_ref().and_then(RecoveryChecks::next);
        let hosts = self.scene.hosts.iter().filter_map(Host::<P>::next).min();
        let next = [arrival, start, check, hosts].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else { return Ok(false) };
        self.scene.now = self.scene.now.max(next);
        self.steps += 1;
        while let Some(Reverse((_, id, adopts))) =
            self.starts.peek().copied().filter(|Reverse((at, ..))| *at <= self.scene.now)
        {
            self.starts.pop();
            self.start(id, adopts);
        }
        while let Some(flight) = self.scene.network.arrived(self.scene.now) {
            let now = self.scene.now;
            if flight.corrupted
                && let Some(checks) = &mut self.recovery_checks
            {
                checks.corrupted(now);
            }
            self.host_mut(flight.to).arrive(flight, now);
        }
        for at in 0..self.scene.hosts.len() {
            if self.scene.hosts[at].next().is_some_and(|next| next <= self.scene.now) {
                self.run_host(at)?;
            }
        }
        if let Some(checks) = &mut self.recovery_checks {
            checks.run(&self.scene)?;
        }
        Ok(true)
    }

    fn run_host(&mut self, at: usize) -> Result<(), Violation> {
        let Scene { now, hosts, network, .. } = &mut self.scene;
        let host = &mut hosts[at];
        let from = host.id;
        let outcome = host.run(*now, |to, link, payload| {
            network.send(*now, from, to, path_of(to, from, link), payload);
            network.cut_since(from, to).is_none()
        });
        if let Err(violation) = outcome {
            return Err(self.locate(from, &violation));
        }
        let host = &mut self.scene.hosts[at];
        if !host.changed.is_empty() {
            let changed = std::mem::take(&mut host.changed);
            if let Some(checks) = &mut self.recovery_checks {
                checks.changed(&self.scene, from, &changed)?;
            }
        }
        Ok(())
    }

    fn locate(&self, host: HostId, violation: &Violation) -> Violation {
        Violation::new(self.scene.now, format!("host {}, whose clock shows {}", host.0, violation))
    }

    fn disturbed_at(&mut self, host: HostId) {
        for id in self.pair_ids() {
            if self.pair(id).hosts.contains(&host) {
                self.disturbed(id);
            }
        }
    }

    fn disturbed_between(&mut self, from: HostId, to: HostId) {
        for id in self.pair_ids() {
            let hosts = self.pair(id).hosts;
            if hosts.contains(&from) && hosts.contains(&to) {
                self.disturbed(id);
            }
        }
    }

    fn disturbed(&mut self, id: PairId) {
        if let Some(checks) = &mut self.recovery_checks {
            checks.disturbed(&self.scene, id);
        }
    }
}

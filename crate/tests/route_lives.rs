//! Random lives of armed routes: users, sessions, links, rivals and the kernel act in any order. At the end of each life the
//! tables follow sessions and registrations, every outcome was correct, and no route of others was changed.
//! Some lives hang their routes on next-hop objects; with `OBJECTS=0` none do.
//! `ROUTE_LIVES=100000` sets the number of lives (use a release build), `SEED` the seed, and `LIFE` repeats a single life.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use route_liveness::engine::SessionId;
use route_liveness::engine::stats::{LinkId, LocalEndpoint};
use route_liveness::protocol::time::Time;
use route_liveness::routes::affected::AffectedRoutes;
use route_liveness::routes::armed::{ArmedRoute, ArmingPolicy, ObjectPolicy, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::KernelRoute;
use route_liveness::routes::legs::Backup;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::outcome::RouteId;
use route_liveness::routes::outcome::RouteOutcome;
use route_liveness::routes::parts::ROUTES_PER_OBJECT;
use route_liveness::routes::planner::RoutePlanner;
use route_liveness::sim::{Kernel, KernelFaults, Notice, Random, RivalAct, rival_hop};

const OURS: u8 = 186;
const THEIRS: u8 = 4;

const SECOND: u64 = 1_000_000;
/// After this time every delay is over, and every failed request was retried.
const PEACE_US: u64 = 300 * SECOND;

/// Destination, prefix length, priority. A deletion without a priority matches any.
const SLOTS: [(IpAddr, u8, u32); 7] = [
    (IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7)), 32, 0),
    (IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7)), 32, 5),
    (IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7)), 32, 7),
    (IpAddr::V4(Ipv4Addr::new(10, 8, 0, 0)), 24, 0),
    (ipv6(0x907), 128, 1024),
    (ipv6(0x907), 128, 5),
    (ipv6(0), 64, 1024),
];

const SOURCES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
const HOPS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 8)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9))];
const IPV6_SOURCES: [IpAddr; 2] = [ipv6(1), ipv6(2)];
const IPV6_HOPS: [IpAddr; 2] = [ipv6(8), ipv6(9)];
const LINKS: usize = 2;
const SESSIONS: usize = LINKS * SOURCES.len() * HOPS.len();

const fn ipv6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

/// The user's record of a slot that is registered or about to be removed.
#[derive(Clone, Debug)]
struct Registered {
    armed: ArmedRoute,
    link: usize,
    leaving: bool,
    /// The last reported outcome.
    installed: bool,
    /// Whether the planner looked for the route.
    adopted: bool,
    /// The adopted route waits for an outcome of this generation or a later one.
    awaited: Option<u32>,
}

struct Life {
    random: Random,
    planner: RoutePlanner,
    kernel: Kernel,
    now: Time,
    sessions: [SessionView; SESSIONS],
    /// The interface index of each link; 0 if it has none.
    interfaces: [u32; LINKS],
    last_interface: u32,
    slots: [Option<Registered>; SLOTS.len()],
    /// The slots in which routes may stay without a registration.
    may_stay: [bool; SLOTS.len()],
    predecessor: Option<KernelRoute>,
    last_id: u32,
    /// The last generation, of all routes together.
    generation: u32,
    /// Notices of the kernel, and outcomes, that have not arrived.
    notices: VecDeque<(Time, Notice)>,
    outcomes: VecDeque<(Time, RouteOutcome)>,
    slowest_us: u64,
    /// Whether users remove registrations without deleting the route, or register routes that are never deleted.
    leaves_routes: bool,
    /// Whether users give routes a backup.
    has_backups: bool,
    is_shown: bool,
}

impl Life {
    fn new(seed: u64, is_shown: bool) -> Self {
        let mut random = Random::new(seed);
        let kernel = Kernel::new(random.fork(), KernelFaults::default(), THEIRS).at_any_moment();
        let slowest_us = [0, 1_000, 50_000, 5 * SECOND][random.up_to(3) as usize];
        let leaves_routes = random.chance(250_000);
        let has_backups = random.chance(400_000);
        let has_objects = number("OBJECTS") != Some(0) && random.chance(400_000);
        // In half of these lives a session with several routes has several objects.
        let most = [ROUTES_PER_OBJECT, ROUTES_PER_OBJECT, 1, 2];
        let range = ObjectRange { first: 10, last: 99 };
        let objects = has_objects
            .then(|| ObjectPolicy { range, routes_per_object: most[random.up_to(most.len() as u64 - 1) as usize] });
        let policy =
            ArmingPolicy { take_over: false, honor_peer_passive: random.chance(500_000), mass_down: None, objects };
        let mut life = Self {
            random,
            planner: RoutePlanner::new(policy),
            kernel,
            now: Time::from_micros(SECOND),
            sessions: [SessionView::default(); SESSIONS],
            interfaces: std::array::from_fn(|link| link as u32 + 1),
            last_interface: LINKS as u32,
            slots: Default::default(),
            may_stay: [false; SLOTS.len()],
            predecessor: None,
            last_id: 0,
            generation: 0,
            notices: VecDeque::new(),
            outcomes: VecDeque::new(),
            slowest_us,
            leaves_routes,
            has_backups,
            is_shown,
        };
        if life.random.chance(300_000) {
            let slot = life.any(SLOTS.len());
            let link = life.any(LINKS);
            let (route, _) = life.route(slot, link);
            life.kernel.leave(&route);
            life.predecessor = Some(route);
        }
        life
    }

    fn live(&mut self, steps: u64) -> Result<(), String> {
        let mut faults = KernelFaults { latency_us: self.slowest_us, ..KernelFaults::default() };
        for ppm in [&mut faults.hang_ppm, &mut faults.fail_ppm, &mut faults.lose_ppm, &mut faults.rival_ppm] {
            *ppm = [0, 0, 20_000, 200_000][self.random.up_to(3) as usize];
        }
        self.kernel.set_faults(faults);
        for _ in 0..steps {
            self.step();
            if self.random.chance(400_000) {
                let most = [1_000, 100_000, 5 * SECOND][self.random.up_to(2) as usize];
                let us = self.random.up_to(most);
                self.pass(us);
            } else {
                self.settle();
            }
        }
        self.end_all_faults();
        self.check()?;
        for slot in 0..SLOTS.len() {
            self.disarm(slot, true);
        }
        self.pass(PEACE_US);
        self.check_end()
    }

    fn step(&mut self) {
        let slot = self.any(SLOTS.len());
        match self.random.up_to(99) {
            0..=24 => self.flap(),
            25..=44 => self.arm(slot, false),
            45..=56 => {
                let removes = self.has_backups || !self.leaves_routes || self.random.chance(800_000);
                self.disarm(slot, removes);
            }
            57..=61 => self.retry(slot),
            62..=66 => self.arm(slot, true),
            67..=71 => self.change(slot),
            72..=86 => self.rival(slot),
            87..=88 => self.kernel.delete_object(slot),
            89..=92 => self.change_link(),
            93..=96 => self.flush(),
            _ => self.lose_notices(),
        }
    }

    fn flap(&mut self) {
        let session = self.any(SESSIONS);
        let view = &mut self.sessions[session];
        view.up = self.random.chance(600_000);
        view.peer_passive = self.random.chance(150_000);
        view.conv_start = Some(self.now);
        let view = *view;
        self.show(|| format!("session {session}: {view:?}"));
        self.planner.session_changed(SessionId(session as u32), view, self.now);
    }

    /// Registers a route, replaces it by another one, or adopts it.
    fn arm(&mut self, slot: usize, adopted: bool) {
        let link = self.any(LINKS);
        let (route, session) = self.route(slot, link);
        if adopted && self.slots[slot].as_ref().is_some_and(|known| known.leaving) {
            return;
        }
        let no_uninstall = self.leaves_routes && self.random.chance(200_000);
        let id = match &self.slots[slot] {
            Some(known) => known.armed.id,
            None => {
                self.last_id += 1;
                RouteId(self.last_id)
            }
        };
        let spec = ArmedRoute {
            id,
            session,
            generation: 0,
            route,
            no_uninstall,
            admin_down: false,
            keep_on_peer_admin_down: false,
            damping: Damping::default(),
            adopted,
            backup: self.backup(&route),
        };
        // Most adopt a route that they know, or one that a previous process left.
        let known = self.slots[slot].as_ref().filter(|_| adopted).map(|known| (known.armed, known.link));
        let (armed, link) = known.map_or((spec, link), |(known, link)| (ArmedRoute { adopted, ..known }, link));
        self.give(slot, armed, link);
    }

    /// Another next hop, over any link, with a session or without one.
    fn backup(&mut self, primary: &KernelRoute) -> Option<Backup> {
        if !self.has_backups || self.random.chance(300_000) {
            return None;
        }
        let link = self.any(LINKS);
        let hops = if primary.is_ipv6() { IPV6_HOPS } else { HOPS };
        let next_hop = hops[usize::from(hops[0] == primary.next_hop)];
        let session = self.random.chance(700_000).then(|| SessionId((link * 4 + self.any(4)) as u32));
        Some(Backup { next_hop, interface: 0, link: LinkId(link as u32), session, is_up: false })
    }

    fn change(&mut self, slot: usize) {
        let Some(Registered { mut armed, link, leaving: false, .. }) = self.slots[slot].clone() else { return };
        armed.admin_down = !armed.admin_down;
        armed.adopted = false;
        self.give(slot, armed, link);
    }

    fn give(&mut self, slot: usize, mut armed: ArmedRoute, link: usize) {
        self.generation += 1;
        armed.generation = self.generation;
        armed.route.interface = self.interfaces[link];
        if let Some(backup) = &mut armed.backup {
            backup.session = backup.session.filter(|session| *session != armed.session);
            backup.interface = self.interfaces[backup.link.0 as usize];
            backup.is_up = backup.session.is_some_and(|session| self.sessions[session.0 as usize].up);
        }
        let view = SessionView { conv_start: None, ..self.sessions[armed.session.0 as usize] };
        self.show(|| format!("arm {armed:?}"));
        self.planner.arm(armed, endpoint(link, &armed.route), view, self.now);
        self.may_stay[slot] |= armed.no_uninstall;
        let known = self.slots[slot].take();
        let installed = known.as_ref().is_some_and(|known| known.installed);
        let known_awaited = known.as_ref().and_then(|known| known.awaited);
        let awaited = if armed.adopted { Some(armed.generation) } else { known_awaited };
        let is_same = |known: &Registered| legs(&known.armed) == legs(&armed);
        let adopted = armed.adopted || known.is_some_and(|known| known.adopted && is_same(&known));
        self.slots[slot] = Some(Registered { armed, link, leaving: false, installed, adopted, awaited });
    }

    fn disarm(&mut self, slot: usize, removes: bool) {
        let Some(known) = self.slots[slot].as_mut().filter(|known| !known.leaving) else { return };
        self.generation += 1;
        (known.leaving, known.armed.generation) = (true, self.generation);
        let id = known.armed.id;
        self.may_stay[slot] |= !removes;
        self.show(|| format!("disarm {id:?} {removes}"));
        self.planner.disarm(id, self.generation, removes, self.now);
    }

    fn retry(&mut self, slot: usize) {
        if let Some(Registered { armed, .. }) = &self.slots[slot] {
            self.planner.retry(armed.id, armed.generation, self.now);
        }
    }

    fn rival(&mut self, slot: usize) {
        let link = self.any(LINKS);
        let route = match &self.slots[slot] {
            Some(known) => known.armed.route,
            None => self.route(slot, link).0,
        };
        let act = RivalAct::ALL[self.any(RivalAct::ALL.len())];
        self.show(|| format!("rival: {act:?} {route:?}"));
        self.kernel.act(&route, act);
    }

    /// The interface of a link disappears or appears, or its name moves to another interface.
    fn change_link(&mut self) {
        let link = self.any(LINKS);
        let former = self.interfaces[link];
        // The kernel drops the routes of an interface that disappears, not those of one that is renamed.
        if former != 0 && self.random.chance(700_000) {
            self.kernel.flush(AffectedRoutes { interfaces: vec![former], ..AffectedRoutes::default() });
        }
        if former != 0 && self.random.chance(500_000) {
            self.set_interface(link, 0);
        } else if self.random.chance(300_000) {
            // Two interfaces exchange their names.
            let (one, other) = (self.interfaces[0], self.interfaces[1]);
            self.set_interface(0, other);
            self.set_interface(1, one);
        } else {
            self.last_interface += 1;
            self.set_interface(link, self.last_interface);
        }
    }

    fn set_interface(&mut self, link: usize, interface: u32) {
        self.show(|| format!("link {link} has the interface {interface}"));
        self.interfaces[link] = interface;
        self.planner.link_changed(LinkId(link as u32), interface, self.now);
        for known in self.slots.iter_mut().flatten() {
            if let Some(backup) = known.armed.backup.as_mut().filter(|backup| backup.link.0 as usize == link) {
                known.adopted &= backup.interface == interface;
                backup.interface = interface;
            }
            if known.link == link && known.armed.route.interface != interface {
                known.armed.route.interface = interface;
                known.adopted = false;
            }
        }
    }

    fn flush(&mut self) {
        let affected = if self.random.chance(500_000) {
            let source = self.any(2);
            AffectedRoutes { sources: vec![SOURCES[source], IPV6_SOURCES[source]], ..AffectedRoutes::default() }
        } else {
            AffectedRoutes { interfaces: vec![self.interfaces[self.any(LINKS)]], ..AffectedRoutes::default() }
        };
        self.show(|| format!("flush {affected:?}"));
        self.kernel.flush(affected);
    }

    /// The socket of the notices overflows: an unknown number of notices is lost.
    fn lose_notices(&mut self) {
        self.notices.clear();
        self.notices
            .push_back((self.now, Notice::AffectedRoutes(AffectedRoutes { all: true, ..AffectedRoutes::default() })));
        self.show(|| "notices are lost".into());
    }

    fn end_all_faults(&mut self) {
        self.kernel.set_faults(KernelFaults { latency_us: 1_000, ..KernelFaults::default() });
        self.kernel.remove_rivals();
        self.show(|| "peace".into());
        for link in 0..LINKS {
            if self.interfaces[link] == 0 {
                self.last_interface += 1;
                self.set_interface(link, self.last_interface);
            }
        }
        for session in 0..SESSIONS {
            let view = SessionView { peer_passive: false, conv_start: None, ..self.sessions[session] };
            self.sessions[session] = view;
            self.planner.session_changed(SessionId(session as u32), view, self.now);
        }
        self.pass(PEACE_US);
    }

    /// Advances the clock, and runs everything that becomes due.
    fn pass(&mut self, us: u64) {
        let end = self.now.plus(us);
        self.settle();
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Time> {
        let notice = self.notices.front().map(|(at, _)| *at);
        let outcome = self.outcomes.front().map(|(at, _)| *at);
        [self.kernel.next(), self.planner.poll_deadline(), notice, outcome].into_iter().flatten().min()
    }

    /// Runs everything that is due.
    fn settle(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "it comes to an end at {:?}", self.now);
            let heard = self.hear();
            self.planner.handle_timeout(self.now);
            self.kernel_turn();
            let is_due = self.next().is_some_and(|at| at <= self.now);
            if !heard && !is_due {
                return;
            }
        }
    }

    fn kernel_turn(&mut self) {
        let mut told = self.kernel.run(&mut self.planner, self.now);
        told.extend(self.kernel.list(&mut self.planner, self.now));
        for outcome in told {
            let at = self.now.plus(self.random.up_to(self.slowest_us.min(10_000)));
            let last = self.outcomes.back().map_or(at, |(at, _)| *at);
            self.show(|| format!("  told {outcome:?}"));
            self.outcomes.push_back((at.max(last), outcome));
        }
        for notice in self.kernel.notices() {
            let at = self.now.plus(self.random.up_to(self.slowest_us));
            let last = self.notices.back().map_or(at, |(at, _)| *at);
            self.notices.push_back((at.max(last), notice));
        }
    }

    /// Returns whether there was any work.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        while self.notices.front().is_some_and(|(at, _)| *at <= self.now)
            && let Some((_, notice)) = self.notices.pop_front()
        {
            heard = true;
            self.show(|| format!("  heard {notice:?}"));
            match notice {
                Notice::Gone(route) => self.planner.lost(&route, self.now),
                Notice::Taken(slot) => self.planner.taken(&slot, self.now),
                Notice::ObjectGone(object, by_rival) => self.planner.object_lost(object, by_rival),
                Notice::AffectedRoutes(affected) => {
                    let mut from = Some((SessionId(0), RouteId(0)));
                    while let Some(start) = from {
                        from = self.planner.recheck(&affected, start, 2, self.now);
                    }
                }
            }
        }
        while self.outcomes.front().is_some_and(|(at, _)| *at <= self.now)
            && let Some((_, outcome)) = self.outcomes.pop_front()
        {
            heard = true;
            self.read_batch(&outcome);
        }
        heard
    }

    /// Retries as the installer does.
    fn read_batch(&mut self, outcome: &RouteOutcome) {
        for slot in &mut self.slots {
            let Some(known) = slot.as_mut().filter(|known| known.armed.id == outcome.id) else { continue };
            known.installed = outcome.installed && !outcome.gone;
            known.awaited = known.awaited.filter(|awaited| outcome.generation < *awaited);
            if outcome.gone && outcome.generation == known.armed.generation {
                *slot = None;
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        self.check_quiet()?;
        let mut installed = 0;
        for (slot, known) in self.slots.iter().enumerate() {
            let Some(known) = known else { continue };
            let Registered { armed, leaving, .. } = known;
            if *leaving {
                return Err(format!("nobody was told that it is gone: {known:?}"));
            }
            if known.awaited.is_some() {
                return Err(format!("whoever adopted it was told nothing: {known:?}"));
            }
            let view = self.sessions[armed.session.0 as usize];
            let (legs, wanted) = (legs(armed), self.wanted(armed));
            // Behind a sibling the kernel does not show that it took the source away: such a route carries traffic, and must go
            // as any other, but is not always found out.
            let is_left = |leg: &KernelRoute, held: &KernelRoute| held.source.is_unspecified() && held.excludes(leg);
            let tables = self.kernel.tables();
            let leads_so = |leg: &KernelRoute, held: &KernelRoute| held.object != 0 && tables.resolved(held) == *leg;
            let is_as =
                |leg: &KernelRoute, held: &KernelRoute| is_left(leg, &tables.resolved(held)) || leads_so(leg, held);
            let holds =
                |leg: &KernelRoute| tables.holds(leg) || tables.slot(&leg.slot()).iter().any(|held| is_as(leg, held));
            let is_of_predecessor = self.predecessor.is_some_and(|left| match legs.contains(&left) {
                true => !known.adopted,
                // With another source it is no route of ours, until ours takes its place.
                false => legs.iter().any(|leg| left.excludes(leg)),
            });
            let was_left = is_of_predecessor || self.may_stay[slot];
            let is_wanted = wanted.is_some();
            let is_there = wanted.map_or_else(|| legs.iter().any(holds), |leg| holds(&leg));
            if wanted.is_some_and(|wanted| legs.iter().any(|leg| *leg != wanted && holds(leg))) && !was_left {
                return Err(format!("both legs are there: {known:?}"));
            }
            if is_wanted && !is_there || !is_wanted && is_there && !was_left {
                return Err(format!("it is there: {is_there}, with {view:?}: {known:?}"));
            }
            if known.installed != is_there && (known.installed || is_wanted || !was_left) {
                return Err(format!("it is there: {is_there}, and was told otherwise: {known:?}"));
            }
            installed += u64::from(known.installed);
        }
        self.check_left()?;
        self.check_gauge(installed)
    }

    /// The route that the kernel is to have, on one leg or the other.
    fn wanted(&self, armed: &ArmedRoute) -> Option<KernelRoute> {
        let is_up = |session: SessionId| self.sessions[session.0 as usize].up;
        let backup = armed.backup.filter(|backup| backup.session.is_none_or(is_up));
        let leg = if is_up(armed.session) { Some(armed.route) } else { backup.and(legs(armed).get(1).copied()) };
        leg.filter(|_| !armed.admin_down)
    }

    fn check_end(&self) -> Result<(), String> {
        self.check_quiet()?;
        if let Some(known) = self.slots.iter().flatten().next() {
            return Err(format!("nobody was told at the end that it is gone: {known:?}"));
        }
        if let Some(at) = self.planner.poll_deadline() {
            return Err(format!("a timer is left, at {at:?}"));
        }
        // A route that stays keeps its object.
        let tables = self.kernel.tables();
        if let Some(object) = tables.objects().find(|id| !tables.routes().any(|route| route.object == *id)) {
            return Err(format!("the object {object} is left"));
        }
        self.check_left()?;
        self.check_gauge(0)
    }

    fn check_quiet(&self) -> Result<(), String> {
        let is_settled = self.kernel.is_settled(&self.planner);
        if !is_settled || self.planner.has_work() || self.planner.has_questions() {
            return Err(format!("there is work left: {:?}", self.planner));
        }
        match self.kernel.harmed() {
            0 => Ok(()),
            harmed => Err(format!("{harmed} routes of others were taken out")),
        }
    }

    /// Checks that the tables have no route that no registration explains.
    fn check_left(&self) -> Result<(), String> {
        let is_registered = |route: &KernelRoute| {
            let mut ours = self.slots.iter().flatten().flat_map(|known| legs(&known.armed));
            ours.any(|ours| ours == *route || (route.source.is_unspecified() && route.excludes(&ours)))
        };
        for held in self.kernel.tables().routes() {
            let route = &self.kernel.tables().resolved(held);
            let slot = SLOTS.iter().position(|(destination, _, priority)| {
                (*destination, *priority) == (route.destination, route.priority)
            });
            let may_stay = slot.is_some_and(|slot| self.may_stay[slot])
                || self.predecessor.is_some_and(|left| left == *route || left.excludes(route))
                || route.next_hop == rival_hop(route)
                || route.protocol == THEIRS;
            if !may_stay && !is_registered(route) {
                return Err(format!("left in the tables: {route:?}"));
            }
        }
        Ok(())
    }

    fn check_gauge(&self, installed: u64) -> Result<(), String> {
        let counted =
            self.planner.stats().iter().fold(0, |sum: u64, (_, counters)| sum.wrapping_add(counters.installed));
        if counted == installed {
            return Ok(());
        }
        Err(format!("{counted} routes are counted as installed, and {installed} are"))
    }

    fn route(&mut self, slot: usize, link: usize) -> (KernelRoute, SessionId) {
        let (destination, prefix_length, priority) = SLOTS[slot];
        let (source, hop) = (self.any(SOURCES.len()), self.any(HOPS.len()));
        let (sources, hops) = if destination.is_ipv6() { (IPV6_SOURCES, IPV6_HOPS) } else { (SOURCES, HOPS) };
        let route = KernelRoute {
            table: 254,
            destination,
            prefix_length,
            source: sources[source],
            next_hop: hops[hop],
            interface: self.interfaces[link],
            protocol: OURS,
            priority,
            object: 0,
        };
        (route, SessionId((link * 4 + source * 2 + hop) as u32))
    }

    fn any(&mut self, of: usize) -> usize {
        self.random.up_to(of as u64 - 1) as usize
    }

    fn show(&self, text: impl FnOnce() -> String) {
        if self.is_shown {
            println!("{:>12} {}", self.now.micros(), text());
        }
    }
}

/// The route on its primary, and on its backup if it has one.
fn legs(armed: &ArmedRoute) -> Vec<KernelRoute> {
    let on_backup =
        |backup: Backup| KernelRoute { next_hop: backup.next_hop, interface: backup.interface, ..armed.route };
    [armed.route].into_iter().chain(armed.backup.map(on_backup)).collect()
}

fn endpoint(link: usize, route: &KernelRoute) -> LocalEndpoint {
    LocalEndpoint { link: LinkId(link as u32), local: route.source }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_life_of_armed_routes_ends_as_sessions_and_registrations_say() {
    let seed = number("SEED").unwrap_or(1);
    let lives = match number("LIFE") {
        Some(life) => life..life + 1,
        None => 0..number("ROUTE_LIVES").unwrap_or(20_000),
    };
    let is_shown = number("LIFE").is_some();
    for life in lives {
        let mut one = Life::new(seed * 1_000_003 + life, is_shown);
        if let Err(fault) = one.live(5 + life % 60) {
            one.show(|| format!("{:#?}\n{:#?}", one.kernel.tables(), one.planner));
            panic!("life {life} of seed {seed}: {fault}");
        }
    }
}

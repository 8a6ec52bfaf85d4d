//! The routes of a simulated host: the planner, the kernel that it asks, and the notices of what others do.

use std::net::Ipv4Addr;

use crate::engine::stats::{LinkId, LocalEndpoint};
use crate::engine::{SessionId, SessionSpec};
use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{ArmedRoute, HOLD_US};
use crate::routes::kernel_route::KernelRoute;
use crate::routes::legs::{Backup, Leg};
use crate::routes::outcome::RouteId;
use crate::sim::faulty_tables::KernelFaults;
use crate::sim::host::route_checks::on_leg;
use crate::sim::host::{Host, Kept, NOTICE_US, OURS, view};
use crate::sim::host_spec::{BackupKind, RouteKind};
use crate::sim::notice::Notice;
use crate::sim::rival::{ObjectAct, RivalAct};
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

impl<P: SimulatedProtocol> Host<P> {
    pub(super) fn add_route(&mut self, session: SessionSpec, kind: RouteKind, now: Time) {
        if self.spec.passive {
            return;
        }
        let number = self.routes.len() as u32;
        let link = session.path.link.0;
        let route = KernelRoute {
            table: 254,
            destination: Ipv4Addr::from(0x0A09_0000 + number).into(),
            prefix_length: 32,
            source: session.path.local,
            next_hop: session.path.peer,
            interface: self.links.interface(link),
            protocol: OURS,
            priority: 0,
            object: 0,
        };
        let armed = ArmedRoute {
            id: RouteId(number),
            session: session.id,
            generation: 1,
            route,
            no_uninstall: kind.no_uninstall,
            keep_on_peer_admin_down: kind.keep_on_peer_admin_down,
            damping: self.spec.damping,
            admin_down: false,
            adopted: false,
            backup: kind.backup.map(|backup| self.backup(backup)),
        };
        if kind.conflict {
            self.kernel.act(&route, RivalAct::Occupy);
        }
        self.routes.push(Kept {
            armed,
            link,
            on: None,
            was_on_both: false,
            adopted_until: None,
            waits_until: None,
            up_at: None,
            is_damped: false,
        });
        self.register(number as usize, now);
    }

    fn backup(&self, BackupKind { link, gateway, is_watched }: BackupKind) -> Backup {
        let interface = self.links.interface(link);
        let session = is_watched.then_some(SessionId(link));
        Backup { next_hop: [10, 0, 0, gateway].into(), interface, link: LinkId(link), session, is_up: false }
    }

    /// Arms a route for the first time in the life of this process.
    fn register(&mut self, at: usize, now: Time) {
        let local = self.clock.local(now);
        let hold_end = local.plus(HOLD_US);
        let is_up = view(&self.engine, self.routes[at].armed.session, None).up;
        let kept = &mut self.routes[at];
        let waits = !is_up && (kept.armed.adopted || kept.armed.backup.is_some());
        kept.waits_until = waits.then_some(hold_end);
        // One of a session that goes on as Up follows it at once.
        kept.adopted_until = kept.adopted_until.filter(|_| !is_up);
        if is_up {
            // For how long it has been Up nobody knows.
            (kept.up_at, kept.is_damped) = (Some(local), false);
        }
        self.arm(at, now);
    }

    pub(super) fn arm(&mut self, at: usize, now: Time) {
        if let Some(Backup { session, .. }) = self.routes[at].armed.backup {
            // As the driver: what is known of the backup is what its session is now.
            let is_up = session.is_some_and(|session| view(&self.engine, session, None).up);
            self.routes[at].armed.backup = self.routes[at].armed.backup.map(|backup| Backup { is_up, ..backup });
        }
        let Kept { armed, link, .. } = self.routes[at];
        let view = view(&self.engine, armed.session, None);
        let endpoint = LocalEndpoint { link: LinkId(link), local: armed.route.source };
        self.planner.arm(armed, endpoint, view, self.clock.local(now));
        self.kernel_at = Some(now);
    }

    /// Users register their routes in any order after a restart.
    pub(super) fn order_of_registration(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.routes.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, self.random.up_to(at as u64) as usize);
        }
        order
    }

    /// Registers a route that a previous process may have left: it is adopted where it is there, or `may_be_there` says so.
    pub(super) fn find_route(&mut self, at: usize, may_be_there: bool, now: Time) {
        let hold_end = self.clock.local(now).plus(HOLD_US);
        let Kept { mut armed, link, .. } = self.routes[at];
        armed.route.interface = self.links.interface(link);
        armed.backup = armed.backup.map(|backup| Backup { interface: self.links.interface(backup.link.0), ..backup });
        let found = self.leg_held(&armed);
        (armed.admin_down, armed.adopted) = (false, found.is_some() || may_be_there);
        self.count_adoption(&armed, found);
        let adopted_until = found.map(|_| hold_end);
        let was_on_both = self.is_on_both(&armed);
        self.routes[at] = Kept { armed, on: found, adopted_until, was_on_both, ..self.routes[at] };
        self.register(at, now);
    }

    /// Takes one route out of service, or puts it back; its session goes on.
    pub(in crate::sim) fn admin_route(&mut self, at: usize, down: bool, now: Time) {
        let Some(kept) = self.routes.get_mut(at) else { return };
        (kept.armed.admin_down, kept.armed.adopted) = (down, false);
        kept.adopted_until = kept.adopted_until.filter(|_| !down);
        kept.waits_until = kept.waits_until.filter(|_| !down);
        // What an operator puts back in service waits for nothing.
        kept.is_damped = false;
        kept.armed.generation += 1;
        self.arm(at, now);
    }

    /// All routes are withdrawn, as at the end of an orderly process.
    pub(in crate::sim) fn withdraw_routes(&mut self, now: Time) {
        let local = self.clock.local(now);
        for kept in &mut self.routes {
            kept.armed.generation += 1;
            self.planner.disarm(kept.armed.id, kept.armed.generation, true, local);
        }
        self.are_withdrawn = true;
        self.kernel_at = Some(now);
    }

    /// Notes what a session that watches backups was told to be.
    pub(super) fn note_backups(&mut self, id: SessionId, is_up: bool) {
        let backups = self.routes.iter_mut().filter_map(|kept| kept.armed.backup.as_mut());
        backups.filter(|backup| backup.session == Some(id)).for_each(|backup| backup.is_up = is_up);
    }

    /// Notes that a session has come Up. Of one that is Down again in the same turn the planner is not told.
    pub(super) fn note_up(&mut self, id: SessionId, local: Time) {
        if !view(&self.engine, id, None).up {
            return;
        }
        let has_flapped = self.engine.session(id).is_some_and(|(session, _)| session.flaps() > 0);
        let is_settled = self.kernel.is_settled(&self.planner);
        for kept in self.routes.iter_mut().filter(|kept| kept.armed.session == id) {
            (kept.adopted_until, kept.waits_until, kept.up_at) = (None, None, Some(local));
            kept.is_damped = has_flapped && is_settled && self.kernel.tables().leading_as(&kept.armed.route).is_none();
        }
    }

    pub(in crate::sim) fn set_kernel_faults(&mut self, faults: KernelFaults) {
        self.kernel.set_faults(faults);
    }

    /// Another process changes the slot of a route. The monitor hears of it if the process of this host runs.
    pub(in crate::sim) fn change_route(&mut self, at: usize, act: RivalAct, now: Time) {
        let Some(Kept { armed, .. }) = self.routes.get(at) else { return };
        let on_backup = on_leg(armed, Leg::Backup);
        let held = [Some(armed.route), on_backup].into_iter().flatten().find_map(|route| self.held_as(&route));
        self.kernel.act(&held.unwrap_or(armed.route), act);
        self.collect_notices(now);
    }

    /// Another process does something to the number of a next-hop object. Without objects, nothing happens.
    pub(in crate::sim) fn change_object(&mut self, at: u32, act: ObjectAct, now: Time) {
        let Some(objects) = self.spec.objects else { return };
        self.kernel.act_on_object(objects.range.first + at, act);
        self.collect_notices(now);
    }

    /// Other processes delete their routes and objects.
    pub(in crate::sim) fn remove_rivals(&mut self, now: Time) {
        self.kernel.remove_rivals();
        self.collect_notices(now);
    }

    /// A link of this host goes down and up: the kernel drops the routes over it.
    pub(in crate::sim) fn flush(&mut self, link: u32, now: Time) {
        self.kernel.flush(AffectedRoutes { interfaces: vec![link], ..AffectedRoutes::default() });
        self.collect_notices(now);
    }

    pub(super) fn collect_notices(&mut self, now: Time) {
        for notice in self.kernel.notices() {
            for at in 0..self.routes.len() {
                let Kept { armed, on, was_on_both, .. } = self.routes[at];
                let is_there =
                    on.and_then(|leg| on_leg(&armed, leg)).is_some_and(|route| self.held_as(&route).is_some());
                if !is_there {
                    // Of two that a predecessor left, the other stays.
                    let on = if was_on_both && on.is_some() { self.leg_held(&armed) } else { None };
                    self.routes[at].on = on;
                    self.routes[at].adopted_until = self.routes[at].adopted_until.filter(|_| on.is_some());
                }
            }
            if self.alive {
                let heard_at = now.plus(self.random.up_to(NOTICE_US));
                let last = self.notices.back().map_or(now, |(at, _)| *at);
                self.notices.push_back((heard_at.max(last), notice));
            }
        }
    }

    /// The work of the route monitor: hands notices to the planner, ends holds and delays, and answers questions by a listing.
    /// Returns whether there was any work.
    pub(super) fn monitor(&mut self, now: Time) -> bool {
        let local = self.clock.local(now);
        let mut heard = self.planner.poll_deadline().is_some_and(|end| end <= local);
        while self.notices.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, notice)) = self.notices.pop_front()
        {
            heard = true;
            match notice {
                Notice::Gone(route) => self.planner.lost(&route, local),
                Notice::Taken(slot) => self.planner.taken(&slot, local),
                Notice::ObjectGone(object, by_rival) => {
                    self.kernel.object_told(object);
                    self.planner.object_lost(object, by_rival);
                }
                Notice::AffectedRoutes(affected) => {
                    let mut from = Some((SessionId(0), RouteId(0)));
                    while let Some(start) = from {
                        from = self.planner.recheck(&affected, start, 2, local);
                    }
                }
            }
        }
        self.planner.handle_timeout(local);
        if self.planner.has_questions() {
            self.kernel.list(&mut self.planner, local);
            heard = true;
        }
        heard
    }

    pub(super) fn run_kernel(&mut self, now: Time) -> Result<(), Violation> {
        let local = self.clock.local(now);
        self.kernel.run(&mut self.planner, local);
        self.collect_notices(now);
        let answered_at = self.kernel.next().map(|at| self.clock.world(at).max(now.plus(1)));
        // The monitor is woken to answer what only a listing can tell.
        let listed_at = self.planner.has_questions().then(|| now.plus(1));
        self.kernel_at = [answered_at, listed_at].into_iter().flatten().min();
        self.check_routes(local)
    }

    /// Whether no request to the kernel waits or is under way.
    pub(in crate::sim) fn is_settled(&self) -> bool {
        let is_delayed = |kept: &Kept| self.planner.restore_at(kept.armed.id).is_some();
        let is_quiet = self.notices.is_empty() && !self.routes.iter().any(is_delayed);
        !self.alive || (is_quiet && self.kernel.is_settled(&self.planner))
    }
}

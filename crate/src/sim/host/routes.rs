//! The routes of a simulated host: the planner, the kernel that it asks, and the notices of what others do.

use std::net::Ipv4Addr;

use crate::engine::stats::LocalEndpoint;
use crate::engine::{SessionId, SessionSpec};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::ArmedRoute;
use crate::routes::damping::Damping;
use crate::routes::kernel_route::{KernelRoute, Occupant};
use crate::routes::outcome::RouteId;
use crate::sim::host::{Host, Kept, NOTICE_US, OURS, view};
use crate::sim::host_spec::RouteKind;
use crate::sim::kernel::{KernelFaults, Notice, RivalAct};
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

impl<P: SimulatedProtocol> Host<P> {
    pub(super) fn add_route(&mut self, session: SessionSpec, kind: RouteKind, now: Time) {
        if self.spec.passive {
            return;
        }
        let number = self.routes.len() as u32;
        let route = KernelRoute {
            table: 254,
            destination: Ipv4Addr::from(0x0A09_0000 + number).into(),
            prefix_length: 32,
            source: session.path.local,
            next_hop: session.path.peer,
            interface: session.path.link.0,
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
            backup: None,
        };
        if kind.conflict {
            self.kernel.act(&route, RivalAct::Occupy);
        }
        self.routes.push(Kept { armed, held: false, adopted_until: None, up_at: None, is_damped: false });
        self.arm(number as usize, now);
    }

    pub(super) fn arm(&mut self, at: usize, now: Time) {
        let armed = self.routes[at].armed;
        let view = view(&self.engine, armed.session, None);
        self.planner.arm(armed, LocalEndpoint::OTHER, view, self.clock.local(now));
        self.kernel_at = Some(now);
    }

    /// Takes one route out of service, or puts it back; its session goes on.
    pub(in crate::sim) fn admin_route(&mut self, at: usize, down: bool, now: Time) {
        let Some(kept) = self.routes.get_mut(at) else { return };
        (kept.armed.admin_down, kept.armed.adopted) = (down, false);
        kept.adopted_until = kept.adopted_until.filter(|_| !down);
        // What an operator puts back in service waits for nothing.
        kept.is_damped = false;
        kept.armed.generation += 1;
        self.arm(at, now);
    }

    /// Notes that a session was told to be Up.
    pub(super) fn note_up(&mut self, id: SessionId, local: Time) {
        let has_flapped = self.engine.session(id).is_some_and(|(session, _)| session.flaps() > 0);
        let is_settled = self.kernel.is_settled(&self.planner);
        for kept in self.routes.iter_mut().filter(|kept| kept.armed.session == id) {
            (kept.adopted_until, kept.up_at) = (None, Some(local));
            kept.is_damped = has_flapped && is_settled && !self.kernel.tables().holds(&kept.armed.route);
        }
    }

    pub(in crate::sim) fn set_kernel_faults(&mut self, faults: KernelFaults) {
        self.kernel.set_faults(faults);
    }

    pub(in crate::sim) fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// Another process changes the slot of a route. The monitor hears of it if the process of this host runs.
    pub(in crate::sim) fn change_route(&mut self, at: usize, act: RivalAct, now: Time) {
        let Some(kept) = self.routes.get_mut(at) else { return };
        self.kernel.act(&kept.armed.route, act);
        self.collect_notices(now);
    }

    /// A link of this host goes down and up: the kernel drops the routes over it.
    pub(in crate::sim) fn flush(&mut self, link: u32, now: Time) {
        self.kernel.flush(AffectedRoutes { interfaces: vec![link], ..AffectedRoutes::default() });
        self.collect_notices(now);
    }

    fn collect_notices(&mut self, now: Time) {
        for notice in self.kernel.notices() {
            for kept in &mut self.routes {
                if !self.kernel.tables().holds(&kept.armed.route) {
                    (kept.held, kept.adopted_until) = (false, None);
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
                Notice::ObjectGone(object, by_rival) => self.planner.object_lost(object, by_rival),
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
        self.kernel_at = self.kernel.next().map(|at| self.clock.world(at).max(now.plus(1)));
        if self.is_settled() {
            self.check_routes(local)?;
        }
        Ok(())
    }

    /// Whether no request to the kernel waits or is under way.
    pub(in crate::sim) fn is_settled(&self) -> bool {
        let is_delayed = |kept: &Kept| self.planner.restore_at(kept.armed.id).is_some();
        let is_quiet = self.notices.is_empty() && !self.routes.iter().any(is_delayed);
        !self.alive || (is_quiet && self.kernel.is_settled(&self.planner))
    }

    /// Checks, when the kernel is settled, that a route is in the kernel if and only if its session is Up. Adopted routes, routes
    /// that stay, and occupied slots have rules of their own.
    fn check_routes(&mut self, local: Time) -> Result<(), Violation> {
        for kept in &mut self.routes {
            let Some((session, _)) = self.engine.session(kept.armed.session) else { continue };
            let ArmedRoute { route, no_uninstall, admin_down, keep_on_peer_admin_down, .. } = kept.armed;
            let held = self.kernel.tables().holds(&route);
            let is_foreign = matches!(self.kernel.tables().occupant(&route), Occupant::Foreign(_));
            let up = session.state() == State::Up && !admin_down;
            let adopted = kept.adopted_until.is_some_and(|until| local < until);
            let follows_peer = (self.spec.honor_peer_passive && session.peer_is_passive())
                || (keep_on_peer_admin_down && session.last_down_reason() == DownReason::RemoteAdmin);
            let stays = no_uninstall || (follows_peer && !admin_down);
            let is_suppressed = self.planner.suppressed_until(kept.armed.id).is_some();
            let wanted = if up {
                let Damping { hold_up_ms, max_suppress_ms, .. } = self.spec.damping;
                let up_us = kept.up_at.map_or(u64::MAX, |since| local.since(since));
                let waits = is_suppressed && up_us <= u64::from(hold_up_ms.max(max_suppress_ms)) * 1_000;
                let is_early = held && kept.is_damped && up_us < u64::from(hold_up_ms) * 1_000;
                (held || is_foreign || waits) && !is_early
            } else if adopted {
                held
            } else if stays {
                held || !kept.held || !no_uninstall
            } else {
                !held
            };
            if !wanted {
                let text = format!(
                    "route {} of {:?}, {:?}, in the kernel: {held}; before: {}; {kept:?}",
                    route.destination,
                    kept.armed.session,
                    session.state(),
                    kept.held,
                );
                return Err(Violation::new(local, text));
            }
            kept.held = held;
        }
        Ok(())
    }
}

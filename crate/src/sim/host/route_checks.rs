//! The invariants of the routes of a simulated host, checked whenever nothing is under way between it and its kernel.

use crate::engine::SessionId;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::armed::ArmedRoute;
use crate::routes::damping::Damping;
use crate::routes::kernel_route::{KernelRoute, Occupant};
use crate::routes::legs::{Backup, Leg};
use crate::sim::host::{Host, Kept, OURS};
use crate::sim::rival::rival_hop;
use crate::sim::route_counts::RouteCounts;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::violation::Violation;

/// Where a route may be.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    primary: bool,
    backup: bool,
    nowhere: bool,
    /// On both legs at once.
    both: bool,
}

/// The route on a leg, without a next-hop object.
pub(super) fn on_leg(armed: &ArmedRoute, leg: Leg) -> Option<KernelRoute> {
    match leg {
        Leg::Primary => Some(armed.route),
        Leg::Backup => {
            armed.backup.map(|Backup { next_hop, interface, .. }| KernelRoute { next_hop, interface, ..armed.route })
        }
    }
}

fn is_usable(backup: &Backup) -> bool {
    backup.interface != 0 && (backup.session.is_none() || backup.is_up)
}

impl<P: SimulatedProtocol> Host<P> {
    /// What has happened to the routes of this host.
    #[must_use]
    pub fn route_counts(&self) -> RouteCounts {
        let [objects_dropped, objects_moved] = self.kernel.objects_dropped_and_moved();
        RouteCounts { objects_dropped, objects_moved, ..self.route_counts }
    }

    /// A route of ours that leads like this one, as the kernel holds it.
    pub(super) fn held_as(&self, route: &KernelRoute) -> Option<KernelRoute> {
        self.kernel.tables().leading_as(route)
    }

    /// What the kernel holds a route on; the primary, where it is on both.
    pub(super) fn leg_held(&self, armed: &ArmedRoute) -> Option<Leg> {
        let is_on = |leg: &Leg| on_leg(armed, *leg).is_some_and(|route| self.held_as(&route).is_some());
        [Leg::Primary, Leg::Backup].into_iter().find(is_on)
    }

    pub(super) fn is_on_both(&self, armed: &ArmedRoute) -> bool {
        let is_on = |leg: Leg| on_leg(armed, leg).is_some_and(|route| self.held_as(&route).is_some());
        is_on(Leg::Primary) && is_on(Leg::Backup)
    }

    pub(super) fn count_adoption(&mut self, armed: &ArmedRoute, found: Option<Leg>) {
        let route = found.and_then(|leg| on_leg(armed, leg)).and_then(|route| self.held_as(&route));
        self.route_counts.adoptions_on_backup += u64::from(found == Some(Leg::Backup));
        self.route_counts.adoptions_on_object += u64::from(route.is_some_and(|route| route.object != 0));
    }

    /// Checks, when nothing is under way, that each route is where its sessions say.
    pub(super) fn check_routes(&mut self, local: Time) -> Result<(), Violation> {
        if self.kernel.harmed() > 0 {
            return Err(Violation::new(local, "a route or a next-hop object of others was changed"));
        }
        let is_quiet = self.notices.is_empty() && !self.links.has_changed() && self.kernel.is_settled(&self.planner);
        if !self.alive || !is_quiet || self.are_withdrawn {
            return Ok(());
        }
        self.route_counts.checks += 1;
        for at in 0..self.routes.len() {
            self.check_route(at, local)?;
        }
        Ok(())
    }

    fn check_route(&mut self, at: usize, local: Time) -> Result<(), Violation> {
        let kept = self.routes[at];
        let Some(allowed) = self.allowed(&kept, local) else { return Ok(()) };
        let is_on = |leg: Leg| on_leg(&kept.armed, leg).is_some_and(|route| self.held_as(&route).is_some());
        let [on_primary, on_backup] = [Leg::Primary, Leg::Backup].map(is_on);
        let is_right = match (on_primary, on_backup) {
            (true, false) => allowed.primary,
            (false, true) => allowed.backup,
            (false, false) => allowed.nowhere,
            (true, true) => allowed.both,
        };
        if !is_right || self.has_stray(&kept.armed) {
            let text = format!(
                "route {} is on its primary: {on_primary}, on its backup: {on_backup}; {allowed:?}; sessions {}; {kept:?}; \
                 the slot: {:?}",
                kept.armed.route.destination,
                self.states_of(&kept.armed),
                self.kernel.tables().slot(&kept.armed.route.slot()),
            );
            return Err(Violation::new(local, text));
        }
        let on = if on_primary { Some(Leg::Primary) } else { on_backup.then_some(Leg::Backup) };
        self.route_counts.moves_to_backup += u64::from(on == Some(Leg::Backup) && kept.on != on);
        let has_returned = (kept.on, on) == (Some(Leg::Backup), Some(Leg::Primary));
        self.route_counts.moves_to_primary += u64::from(has_returned);
        self.routes[at].on = on;
        Ok(())
    }

    fn states_of(&self, armed: &ArmedRoute) -> String {
        let state = |id: SessionId| self.engine.session(id).map(|(session, _)| session.state());
        format!("{:?} and {:?}", state(armed.session), armed.backup.and_then(|backup| backup.session).map(state))
    }

    /// Whether the slot of a route has one of ours that leads neither over its primary nor over its backup.
    fn has_stray(&self, armed: &ArmedRoute) -> bool {
        let tables = self.kernel.tables();
        let legs = [Leg::Primary, Leg::Backup].map(|leg| on_leg(armed, leg));
        tables.slot(&armed.route.slot()).iter().any(|held| {
            let held = tables.resolved(held);
            held.protocol == OURS && held.next_hop != rival_hop(&held) && !legs.contains(&Some(held))
        })
    }

    /// Where a route may be now; `None` while its session does not exist.
    fn allowed(&self, kept: &Kept, local: Time) -> Option<Allowed> {
        let ArmedRoute { route, no_uninstall, admin_down, keep_on_peer_admin_down, backup, .. } = kept.armed;
        let (session, _) = self.engine.session(kept.armed.session)?;
        let is_usable = backup.as_ref().is_some_and(is_usable);
        let is_waiting = |until: Option<Time>| until.is_some_and(|until| local < until);
        let was = |leg: Leg| kept.on == Some(leg);
        let is_up = session.state() == State::Up;
        let follows_peer = (self.spec.honor_peer_passive && session.peer_is_passive())
            || (keep_on_peer_admin_down && session.last_down_reason() == DownReason::RemoteAdmin);
        // One that stays as it is may have been on its way back, with the leg that it was to leave on a number of a predecessor.
        let stays_on_both = no_uninstall && self.spec.objects.is_some();
        let mut allowed = if admin_down {
            let nowhere = !no_uninstall || kept.on.is_none();
            Allowed { primary: no_uninstall, backup: no_uninstall, nowhere, both: stays_on_both }
        } else if is_up {
            self.allowed_while_up(kept, is_usable, stays_on_both, local)
        } else if is_waiting(kept.adopted_until.or(kept.waits_until)) {
            let is_adopted = is_waiting(kept.adopted_until);
            // A predecessor that ended in mid-move has left both.
            let both = is_adopted && kept.was_on_both;
            let backup = was(Leg::Backup) || both || (is_usable && !is_adopted);
            // It moves to an object of ours, also where a rival takes it in that moment.
            let moves = kept.armed.adopted && self.spec.objects.is_some();
            Allowed { primary: was(Leg::Primary) || moves, backup: backup || moves, nowhere: !is_adopted, both }
        } else if no_uninstall && !is_usable {
            let nowhere = kept.on.is_none() || follows_peer;
            Allowed { primary: true, backup: true, nowhere, both: stays_on_both }
        } else {
            Allowed { primary: follows_peer, backup: is_usable, nowhere: !is_usable, both: false }
        };
        let tables = self.kernel.tables();
        if is_up || is_usable {
            // Others keep the route from where it is to be.
            let is_foreign = matches!(tables.occupant(&route), Occupant::Foreign(_)) && !admin_down;
            let is_delayed = self.planner.restore_at(kept.armed.id).is_some();
            // Without its interface a route cannot go to its primary, also before its session notices.
            let has_no_way = is_up && route.interface == 0;
            allowed.nowhere |= is_foreign || is_delayed || (has_no_way && !is_usable);
            allowed.primary |= is_foreign;
            allowed.both |= is_foreign;
            allowed.backup |= backup.is_some() && (is_foreign || (has_no_way && (is_usable || was(Leg::Backup))));
        }
        Some(allowed)
    }

    fn allowed_while_up(&self, kept: &Kept, is_usable: bool, stays_on_both: bool, local: Time) -> Allowed {
        let Damping { hold_up_ms, max_suppress_ms, .. } = self.spec.damping;
        let up_us = kept.up_at.map_or(u64::MAX, |since| local.since(since));
        let is_suppressed = self.planner.suppressed_until(kept.armed.id).is_some();
        let waits = is_suppressed && up_us <= u64::from(hold_up_ms.max(max_suppress_ms)) * 1_000;
        let is_early = kept.is_damped && up_us < u64::from(hold_up_ms) * 1_000;
        Allowed {
            primary: !is_early,
            backup: waits && (is_usable || kept.armed.no_uninstall),
            nowhere: waits && !is_usable,
            both: waits && stays_on_both,
        }
    }

    /// Checks, after all routes were withdrawn in an orderly way, that nothing of ours is left.
    pub(in crate::sim) fn check_withdrawn(&self, now: Time) -> Result<(), Violation> {
        let local = self.clock.local(now);
        let tables = self.kernel.tables();
        let stays = |route: &KernelRoute| {
            let mut kept = self.routes.iter().filter(|kept| kept.armed.no_uninstall);
            kept.any(|kept| kept.armed.route.slot() == route.slot())
        };
        let is_ours = |route: &&KernelRoute| route.protocol == OURS && route.next_hop != rival_hop(route);
        if let Some(left) = tables.routes().filter(is_ours).find(|route| !stays(route)) {
            return Err(Violation::new(local, format!("after all routes were withdrawn there is {left:?}")));
        }
        let has_routes = |object: u32| tables.routes().any(|route| route.object == object);
        if let Some(object) = self.kernel.made_objects().find(|object| !has_routes(*object)) {
            let text = format!("after all routes were withdrawn the object {object} is left, without a route");
            return Err(Violation::new(local, text));
        }
        match self.planner.poll_deadline() {
            Some(at) => Err(Violation::new(local, format!("a timer is left after all, at {at:?}"))),
            None => Ok(()),
        }
    }
}

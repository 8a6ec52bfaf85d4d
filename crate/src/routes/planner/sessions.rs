//! What changes of sessions, maintenance and links mean to routes.

use std::collections::BTreeSet;

use crate::engine::SessionId;
use crate::engine::stats::LinkId;
use crate::protocol::time::Time;
use crate::routes::armed::{Desired, SessionView};
use crate::routes::entry::{Entry, replace};
use crate::routes::kernel_route::Presence;
use crate::routes::mass_down::{MassDownReport, Waiting};
use crate::routes::outcome::RouteId;
use crate::routes::planner::RoutePlanner;

impl RoutePlanner {
    /// Notes that sessions changed, as `session_changed`. Where that many fell that their routes wait, it says so.
    pub fn sessions_changed(
        &mut self,
        changes: impl IntoIterator<Item = (SessionId, SessionView)>,
        now: Time,
    ) -> Option<MassDownReport> {
        let mut fallen = Vec::new();
        for (session, view) in changes {
            if self.session_changed(session, view, now) {
                fallen.push(session);
            }
        }
        let limit = self.policy.mass_down.filter(|_| !fallen.is_empty())?;
        let up: BTreeSet<SessionId> = self.routes.iter().flat_map(Entry::sessions_up).collect();
        let Waiting { sessions, until, report } = self.downs.fell(&limit, &fallen, up.len(), now)?;
        let ids: Vec<RouteId> = sessions.into_iter().flat_map(|session| self.routes_of(session)).collect();
        for id in ids {
            self.hold_until(id, until);
            self.enqueue(id, now);
        }
        report
    }

    /// Notes that a session changed: its routes, and those that it watches the backup of, are installed, moved or withdrawn
    /// accordingly. Gives whether it fell, other than by the word of its peer.
    pub fn session_changed(&mut self, session: SessionId, view: SessionView, now: Time) -> bool {
        let (mut fell, mut is_whole) = (false, true);
        let ids = self.routes_of(session);
        for id in ids.iter().copied() {
            let Some(entry) = self.routes.get_mut(id) else { continue };
            let is_primary = entry.session_id == session;
            is_whole &= is_primary;
            let was_up = entry.note_session(session, view);
            fell |= was_up && !view.up && !view.peer_admin_down;
            if is_primary && view.up {
                self.end_hold(id);
            }
            if is_primary {
                self.damp(id, was_up, now);
            }
        }
        let ids = if is_whole || self.policy.objects.is_none() { ids } else { self.whole_sessions(&ids) };
        self.settle(&ids, now);
        fell
    }

    /// Begins or ends the maintenance of these sessions, or of all: no route of theirs is withdrawn on a Down meanwhile. At its
    /// end the routes of those that are not Up are withdrawn.
    pub fn set_maintenance(&mut self, sessions: Option<&[SessionId]>, active: bool, now: Time) {
        self.maintenance.set(sessions, active);
        let ids: Vec<RouteId> = match sessions {
            None => self.routes.iter().map(|entry| entry.id).collect(),
            Some(sessions) => sessions.iter().flat_map(|session| self.routes_of(*session)).collect(),
        };
        for id in &ids {
            if let Some(entry) = self.routes.get_mut(*id) {
                entry.note_maintenance(&self.maintenance);
            }
        }
        let ids = if self.policy.objects.is_some() { self.whole_sessions(&ids) } else { ids };
        self.settle(&ids, now);
    }

    /// Takes every session for one that is Down: nobody watches them any more. Gives whether a route of theirs is still there, or
    /// may be, that is not to be.
    pub fn withdraw_all(&mut self, now: Time) -> bool {
        let ids: Vec<RouteId> = self.routes.iter().map(|entry| entry.id).collect();
        let mut remain = false;
        for id in ids {
            let Some(entry) = self.routes.get_mut(id) else { continue };
            entry.session = SessionView::default();
            if let Some(legs) = &mut entry.legs {
                legs.is_abandoned = true;
            }
            // Nobody will be there to end the wait for a session.
            if let Some(rare) = &mut entry.rare {
                rare.held_until = None;
            }
            let is_unwanted = entry.desired(self.policy.honor_peer_passive) == Desired::Absent;
            let is_gone = entry.presence == Presence::Absent && entry.previous().is_none();
            remain |= entry.asked || (is_unwanted && !is_gone);
            self.enqueue(id, now);
        }
        remain
    }

    /// Notes that the interface of a link has another index now, or, with 0, that there is none. What was installed over
    /// the previous one is deleted if it is still there.
    pub fn link_changed(&mut self, link: LinkId, interface: u32, now: Time) {
        let links = |entry: &Entry| (self.stats.endpoint(entry.endpoint).link, entry.backup_link());
        let is_concerned = |entry: &Entry| {
            let (primary, backup) = links(entry);
            primary == link || backup == Some(link)
        };
        let concerned = self.routes.iter().filter(|entry| is_concerned(entry)).map(|entry| (entry.id, links(entry).0));
        let ids: Vec<(RouteId, LinkId)> = concerned.collect();
        for (id, primary) in ids {
            let Some(mut entry) = self.detach(id) else { continue };
            let previous = entry.route.get();
            entry.route = entry.relinked(primary, link, interface).into();
            self.equip(&mut entry);
            if entry.route.get() != previous {
                replace(&mut entry, previous);
                entry.counted_as_installed = entry.is_present();
            }
            self.attach(entry);
            self.enqueue(id, now);
        }
    }

    /// Whether more than so many routes follow a session.
    #[must_use]
    pub fn has_many_routes(&self, session: SessionId, than: usize) -> bool {
        let of_session = (session, RouteId(0))..=(session, RouteId(u32::MAX));
        self.by_session.range(of_session).nth(than).is_some()
    }

    pub(super) fn routes_of(&self, session: SessionId) -> Vec<RouteId> {
        let of_session = (session, RouteId(0))..=(session, RouteId(u32::MAX));
        self.by_session.range(of_session).map(|(_, id)| *id).collect()
    }
}

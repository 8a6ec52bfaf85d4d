//! What the monitor's thread does for armed routes: it tells the planner what others have changed, and finds out by listings what the planner
//! wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::SessionId;
use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::Question;
use crate::routes::kernel_route::{KernelRoute, Result, Slot};
use crate::routes::monitor::MonitorHandler;
use crate::routes::object_sweep::delete_unused;
use crate::routes::outcome::RouteId;
use crate::routes::shared_planner::{RECHECKS_AT_ONCE, SharedPlanner, fatal};
use crate::routes::socket::RouteSocket;
use crate::system::clock;

/// What the monitor's thread does for armed routes.
pub(super) struct PlannerMonitor {
    pub(super) shared: Arc<SharedPlanner>,
    /// For listings.
    pub(super) socket: RouteSocket,
}

impl PlannerMonitor {
    fn answer(&mut self, questions: &[Question]) {
        let routes: Vec<KernelRoute> = questions.iter().map(|question| question.route).collect();
        let listed = self.socket.tables(&routes);
        for some in questions.chunks(RECHECKS_AT_ONCE) {
            self.shared.change_and_report(|planner| {
                let now = clock::now();
                let change_and_report = |question: &Question| match &listed {
                    Ok(listed) => {
                        let route = &question.route;
                        let occupant = listed.occupant_or(route, question.previous);
                        planner.listed_beside(question, &listed.beside(route), now);
                        planner.listed(question, listed.holds(route), occupant, now)
                    }
                    Err(error) => planner.unlisted(question, *error, now),
                };
                some.iter().filter_map(change_and_report).collect()
            });
        }
    }

    /// Lists the routes on objects of a predecessor.
    fn survey(&mut self, objects: &BTreeMap<u32, u8>) {
        let protocols: BTreeSet<u8> = objects.values().copied().collect();
        let listed: Result<Vec<Vec<KernelRoute>>> =
            protocols.into_iter().map(|protocol| self.socket.list(protocol)).collect();
        let listed = listed.map(|listed| {
            let routes: Vec<KernelRoute> =
                listed.into_iter().flatten().filter(|route| objects.contains_key(&route.object)).collect();
            for some in routes.chunks(RECHECKS_AT_ONCE) {
                self.shared.change(|planner| planner.inherited_routes_listed(some));
            }
        });
        self.shared.change(|planner| planner.inherited_objects_listed(objects, listed, clock::now()));
    }
}

impl MonitorHandler for PlannerMonitor {
    fn objects_lost(&mut self, objects: &[(u32, bool)]) {
        self.shared.change(|planner| {
            objects.iter().for_each(|(object, by_rival)| planner.object_lost(*object, *by_rival));
        });
    }

    fn routes_changed(&mut self, gone: &[KernelRoute], taken: &[Slot]) {
        let now = clock::now();
        self.shared.change(|planner| {
            gone.iter().for_each(|route| planner.lost(route, now));
            taken.iter().for_each(|slot| planner.taken(slot, now));
        });
    }

    fn recheck(&mut self, affected: &AffectedRoutes) {
        let mut from = Some((SessionId(0), RouteId(0)));
        while let Some(start) = from {
            from = self.shared.change(|planner| planner.recheck(affected, start, RECHECKS_AT_ONCE, clock::now()));
        }
    }

    fn work(&mut self) -> Option<Time> {
        let (questions, left, inherited) = self.shared.change(|planner| {
            planner.handle_timeout(clock::now());
            (planner.questions(), planner.left_objects(), planner.inherited_objects())
        });
        if !inherited.is_empty() {
            self.survey(&inherited);
        }
        if !questions.is_empty() {
            self.answer(&questions);
        }
        if !left.is_empty() {
            let stay = delete_unused(&mut self.socket, &left);
            self.shared.change(|planner| planner.left_objects_swept(&left, stay, clock::now()));
        }
        let mut content = self.shared.lock();
        content.monitor_at = content.planner.poll_deadline();
        content.monitor_at
    }

    fn failed(&mut self, reason: String) {
        self.shared.sink.put_fatal(fatal("thread that watches the kernel's tables", &reason));
    }
}

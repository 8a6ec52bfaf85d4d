//! The parts of sessions: at most so many routes of a session hang on one next-hop object, and all of their backups on one more. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::engine::SessionId;
use crate::routes::outcome::RouteId;

/// The most routes on one next-hop object. The kernel deletes or moves an object with all of its routes within one system call, in which
/// it does not let go of the core, and others that need it wait: a move of 10 000 routes of IPv4 keeps it for 6 to 10 ms.
///
/// More objects cost more: for each of them the kernel goes through all IPv4 routes that it has, whoever has made them, which takes
/// 13 ms beside 300 000 others. From the Down to the last answer, the withdrawal of 10 000 routes takes 5.2 ms with one object, 9.3 with
/// five and 12.3 with ten, and a move 11.9, 12.5 and 17.1, on one core with the engine.
pub const ROUTES_PER_OBJECT: u32 = 4_096;

/// Some routes of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Part {
    pub(crate) session: SessionId,
    /// Among those of the session.
    pub(crate) number: u32,
}

impl Part {
    fn all_of(session: SessionId) -> RangeInclusive<Self> {
        Self { session, number: 0 }..=Self { session, number: u32::MAX }
    }
}

/// Which routes each part has.
#[derive(Debug)]
pub(crate) struct Parts {
    most: u32,
    routes: BTreeSet<(Part, RouteId)>,
    /// How many routes a part has, of those that have any.
    counts: BTreeMap<Part, u32>,
    /// Those of them that have room for another.
    open: BTreeSet<Part>,
}

impl Parts {
    /// Of at most so many routes each; 0 is taken for 1.
    pub(crate) fn new(most: u32) -> Self {
        Self { most: most.max(1), routes: BTreeSet::new(), counts: BTreeMap::new(), open: BTreeSet::new() }
    }

    /// Puts a route, which is in none, into the first part of its session that has room.
    pub(crate) fn put(&mut self, session: SessionId, route: RouteId) -> Part {
        let open = self.open.range(Part::all_of(session)).next().copied();
        let part = open.unwrap_or_else(|| {
            let last = self.counts.range(Part::all_of(session)).next_back();
            Part { session, number: last.map_or(0, |(last, _)| last.number + 1) }
        });
        self.routes.insert((part, route));
        let count = self.counts.entry(part).or_default();
        *count += 1;
        if *count < self.most {
            self.open.insert(part);
        } else {
            self.open.remove(&part);
        }
        part
    }

    /// Takes a route out of its part.
    pub(crate) fn take_out(&mut self, part: Part, route: RouteId) {
        if !self.routes.remove(&(part, route)) {
            return;
        }
        self.open.insert(part);
        if let Some(count) = self.counts.get_mut(&part) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&part);
                self.open.remove(&part);
            }
        }
    }

    /// The routes of a part.
    pub(crate) fn routes(&self, part: Part) -> Vec<RouteId> {
        let of_part = (part, RouteId(0))..=(part, RouteId(u32::MAX));
        self.routes.range(of_part).map(|(_, route)| *route).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn put(parts: &mut Parts, ids: RangeInclusive<u32>) -> Vec<u32> {
        ids.map(|id| parts.put(SESSION, RouteId(id)).number).collect()
    }

    fn part(number: u32) -> Part {
        Part { session: SESSION, number }
    }

    #[test]
    fn a_route_is_put_into_the_first_part_of_its_session_that_has_room() {
        let mut parts = Parts::new(2);
        assert_eq!(put(&mut parts, 1..=5), [0, 0, 1, 1, 2]);
        assert_eq!(parts.put(SessionId(8), RouteId(6)), Part { session: SessionId(8), number: 0 });
        parts.take_out(part(1), RouteId(4));
        assert_eq!(put(&mut parts, 7..=9), [1, 2, 3]);
        assert_eq!(parts.routes(part(1)), [RouteId(3), RouteId(7)]);
    }

    #[test]
    fn a_part_has_never_more_routes_than_allowed_in_whatever_order_they_come_and_go() {
        let mut parts = Parts::new(3);
        let mut held: Vec<(Part, RouteId)> = Vec::new();
        for id in 0..1_000u32 {
            if id % 3 == 2 {
                let (part, route) = held.swap_remove(id as usize * 7 % held.len());
                parts.take_out(part, route);
            }
            held.push((parts.put(SESSION, RouteId(id)), RouteId(id)));
            let of_last = parts.routes(held[held.len() - 1].0);
            assert!(of_last.len() <= 3 && of_last.contains(&RouteId(id)));
        }
        let most = held.iter().map(|(part, _)| part.number).max().expect("there are routes");
        assert!(most < 667_u32.div_ceil(3), "{most}");
        held.into_iter().for_each(|(part, route)| parts.take_out(part, route));
        assert!(parts.routes.is_empty() && parts.counts.is_empty() && parts.open.is_empty());
    }
}

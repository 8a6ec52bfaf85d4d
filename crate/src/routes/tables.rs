//! How routes are installed and deleted without disturbing those of other processes. Pure, over what routing tables can be
//! asked for: `socket` asks the kernel, the simulator has tables of its own.
//!
//! The kernel keeps several routes in a slot, in the order in which they were added, prepended or appended. Three
//! requests suffice here, and none of them touches a route that it does not name: add to an empty slot, append to an
//! occupied one, delete exactly one route. A replacement appends the new route, then deletes the old one: in between both
//! are there, and the old one carries the traffic; in IPv6 both do.
//!
//! A slot of IPv6 holds one route through a gateway and an interface, whatever its source. Where only the source differs, the
//! old route is deleted first. NLM_F_REPLACE would leave no gap, but it deletes every route through a gateway in the slot.

use crate::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, SystemError};
use crate::routes::object_request::{ObjectAnswer, ObjectRequest};

/// What the kernel's tables can be asked for. Answers come in the order of the routes.
pub trait Tables {
    /// Adds routes to empty slots; `EEXIST` where a slot is occupied (NLM_F_CREATE, NLM_F_EXCL).
    fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>>;

    /// Adds a route to a slot, behind what is there (NLM_F_CREATE, NLM_F_APPEND).
    fn append(&mut self, route: &KernelRoute) -> Result<()>;

    /// Adds a route in place of the first one of its slot (NLM_F_CREATE, NLM_F_REPLACE).
    fn replace(&mut self, route: &KernelRoute) -> Result<()>;

    /// Deletes exactly these routes; `ESRCH` where there is none.
    fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>>;

    /// Whether exactly these routes are there, their sources included. `Unknown` where the kernel cannot tell without a
    /// listing.
    fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence>;

    /// Makes, moves and deletes next-hop objects.
    fn change_objects(&mut self, requests: &[ObjectRequest]) -> Vec<ObjectAnswer>;

    /// The first route in the slot of this one, without a listing.
    fn occupant(&mut self, route: &KernelRoute) -> Occupant;
}

/// A route that is to be there.
#[derive(Clone, Copy, Debug)]
pub struct DesiredRoute {
    /// The route.
    pub route: KernelRoute,
    /// The route of ours that it is to replace in its slot.
    pub replaces: Option<KernelRoute>,
    /// A listing has just shown that the slot holds that route, and that nothing of others is before it.
    pub was_listed: bool,
}

impl DesiredRoute {
    /// Whether it names its output interface.
    #[must_use]
    pub fn has_interface(&self) -> bool {
        self.route.interface != 0
    }
}

/// How a request ended, and whether the route is in the kernel by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestOutcome {
    /// The kernel's answer.
    pub result: Result<()>,
    /// Whether the kernel holds the route now.
    pub presence: Presence,
    /// The route of our kind beside which an addition was appended: it is to be deleted.
    pub replaced: Option<KernelRoute>,
}

impl RequestOutcome {
    fn new(result: Result<()>, presence: Presence) -> Self {
        Self { result, presence, replaced: None }
    }

    /// What a look saw.
    #[must_use]
    pub fn seen(presence: Presence) -> Self {
        Self::new(Ok(()), presence)
    }

    /// There is no interface that the route could lead over.
    #[must_use]
    pub fn no_interface() -> Self {
        Self::new(Err(RouteError::System(SystemError::NO_DEVICE)), Presence::Absent)
    }
}

/// Installs routes that have an interface; the kernel would choose one for the others, which fail.
pub fn install_over_interfaces(
    tables: &mut impl Tables,
    wanted: &[DesiredRoute],
    take_over: bool,
) -> Vec<RequestOutcome> {
    let possible: Vec<DesiredRoute> = wanted.iter().filter(|route| route.has_interface()).copied().collect();
    let mut outcomes = install(tables, &possible, take_over).into_iter();
    let answer = |route: &DesiredRoute| if route.has_interface() { outcomes.next() } else { None };
    wanted.iter().map(answer).map(|answer| answer.unwrap_or_else(RequestOutcome::no_interface)).collect()
}

/// Installs routes. A slot that is occupied by a foreign route is a conflict, unless `take_over` says to replace it.
pub fn install(tables: &mut impl Tables, wanted: &[DesiredRoute], take_over: bool) -> Vec<RequestOutcome> {
    let routes: Vec<KernelRoute> = wanted.iter().map(|route| route.route).collect();
    let answers = tables.add(&routes);
    let failed: Vec<usize> = (0..routes.len()).filter(|at| answers[*at].is_err()).collect();
    let mut outcomes: Vec<RequestOutcome> =
        answers.iter().map(|answer| RequestOutcome::new(*answer, Presence::Present)).collect();
    let doubtful: Vec<KernelRoute> = failed.iter().map(|at| routes[*at]).collect();
    for (at, presence) in failed.into_iter().zip(tables.look(&doubtful)) {
        // Of IPv6 siblings a look tells those apart that differ in their source only if they are the first.
        let is_told_apart = !wanted[at].replaces.is_some_and(|old| old.excludes(&wanted[at].route));
        outcomes[at] = match (answers[at], presence) {
            (_, Presence::Present) if is_told_apart => RequestOutcome::new(Ok(()), Presence::Present),
            (Err(RouteError::System(SystemError::EXISTS)), presence) => {
                install_in_occupied(tables, &wanted[at], presence, take_over)
            }
            (Err(RouteError::Unanswered), presence) if is_told_apart => {
                RequestOutcome::new(Err(RouteError::Unanswered), presence)
            }
            // Refused: it is not there, as it was not before.
            (refused, _) => RequestOutcome::new(refused, Presence::Absent),
        };
    }
    outcomes
}

/// `presence` is what a look at the route has said: it may be the occupant itself.
fn install_in_occupied(
    tables: &mut impl Tables,
    wanted: &DesiredRoute,
    presence: Presence,
    take_over: bool,
) -> RequestOutcome {
    let route = &wanted.route;
    if take_over {
        let answer = tables.replace(route);
        return after_write(tables, route, answer);
    }
    let is_there = |old: &KernelRoute| match tables.look(std::slice::from_ref(old))[..] {
        [Presence::Unknown] => wanted.was_listed,
        [presence] => presence == Presence::Present,
        _ => false,
    };
    let known = wanted.replaces.filter(is_there);
    let occupant = known.map_or_else(|| tables.occupant(route), Occupant::Ours);
    match occupant {
        Occupant::Ours(held) if route.is_held_as(&held) => RequestOutcome::new(Ok(()), Presence::Present),
        Occupant::Ours(old) if old.excludes(route) => exchange(tables, &old, route),
        Occupant::Ours(old) => append_beside(tables, &old, wanted),
        Occupant::Foreign(protocol) => RequestOutcome::new(Err(RouteError::Conflict(protocol)), presence),
        Occupant::Nobody | Occupant::Unknown => RequestOutcome::new(Err(RouteError::Occupied), presence),
    }
}

/// Appends a route to what is there. In IPv6 another of the siblings may be one beside which the kernel does not take it: the route
/// itself, from which the kernel has taken its source, for example.
fn append_beside(tables: &mut impl Tables, old: &KernelRoute, wanted: &DesiredRoute) -> RequestOutcome {
    let route = &wanted.route;
    let answer = tables.append(route);
    let outcome = RequestOutcome { replaced: Some(*old), ..after_write(tables, route, answer) };
    let is_excluded = outcome.result == Err(RouteError::System(SystemError::EXISTS)) && route.is_ipv6();
    if !is_excluded {
        return outcome;
    }
    match tables.occupant(route) {
        Occupant::Ours(sibling) if sibling.excludes(route) => {
            let outcome = exchange(tables, &sibling, route);
            RequestOutcome { replaced: outcome.replaced.or(Some(*old)), ..outcome }
        }
        // A listing that was asked already has shown nothing that explains it.
        Occupant::Unknown if !wanted.was_listed => RequestOutcome { result: Err(RouteError::Occupied), ..outcome },
        _ => outcome,
    }
}

/// Puts a route in the place of one beside which the kernel does not take it. Where it is refused, the old one is put back.
fn exchange(tables: &mut impl Tables, old: &KernelRoute, route: &KernelRoute) -> RequestOutcome {
    let deleted = tables.delete(std::slice::from_ref(old)).remove(0);
    if let Err(error) = deleted
        && error != RouteError::System(SystemError::NO_SUCH_ROUTE)
    {
        return RequestOutcome { replaced: Some(*old), ..RequestOutcome::new(Err(error), Presence::Absent) };
    }
    let answer = tables.append(route);
    let outcome = after_write(tables, route, answer);
    if outcome.result.is_ok() {
        return outcome;
    }
    // The failure that is reported is that of the new route; the old one counts as there, and is deleted in its time.
    let _ = tables.append(old);
    RequestOutcome { replaced: Some(*old), ..outcome }
}

fn after_write(tables: &mut impl Tables, route: &KernelRoute, answer: Result<()>) -> RequestOutcome {
    match answer {
        Ok(()) => RequestOutcome::new(Ok(()), Presence::Present),
        Err(error) => match tables.look(std::slice::from_ref(route))[..] {
            [Presence::Present] => RequestOutcome::new(Ok(()), Presence::Present),
            [presence] if error == RouteError::Unanswered || error == RouteError::System(SystemError::EXISTS) => {
                RequestOutcome::new(Err(error), presence)
            }
            _ => RequestOutcome::new(Err(error), Presence::Absent),
        },
    }
}

/// Deletes routes; one that is not there counts as deleted.
pub fn remove(tables: &mut impl Tables, routes: &[KernelRoute]) -> Vec<RequestOutcome> {
    let mut outcomes: Vec<RequestOutcome> = tables
        .delete(routes)
        .into_iter()
        .map(|answer| match answer {
            Ok(()) | Err(RouteError::System(SystemError::NO_SUCH_ROUTE)) => {
                RequestOutcome::new(Ok(()), Presence::Absent)
            }
            Err(error) => RequestOutcome::new(Err(error), Presence::Unknown),
        })
        .collect();
    let failed: Vec<usize> = (0..routes.len()).filter(|at| outcomes[*at].result.is_err()).collect();
    let doubtful: Vec<KernelRoute> = failed.iter().map(|at| routes[*at]).collect();
    for (at, presence) in failed.into_iter().zip(tables.look(&doubtful)) {
        // A failed deletion proves nothing.
        outcomes[at].presence = presence;
        if presence == Presence::Absent {
            outcomes[at].result = Ok(());
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    const ROUTE: KernelRoute = KernelRoute {
        table: 254,
        destination: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)),
        prefix_length: 32,
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        interface: 3,
        protocol: 186,
        priority: 0,
        object: 0,
    };

    const IPV6: KernelRoute = KernelRoute {
        destination: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1)),
        prefix_length: 128,
        source: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1)),
        next_hop: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2)),
        priority: 1024,
        ..ROUTE
    };

    /// A slot as the IPv6 tables keep it: one route through a gateway and an interface, and a deletion that names no source.
    struct Ipv6Slot {
        held: Vec<KernelRoute>,
        refused_source: Option<IpAddr>,
        /// The table is one that no packet is looked up in: only a listing shows what it holds.
        is_opaque: bool,
        was_empty: bool,
    }

    impl Ipv6Slot {
        fn with(held: &[KernelRoute]) -> Self {
            Self { held: held.to_vec(), refused_source: None, is_opaque: false, was_empty: false }
        }
    }

    impl Tables for Ipv6Slot {
        fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
            routes.iter().map(|route| if self.held.is_empty() { self.append(route) } else { EEXIST }).collect()
        }

        fn append(&mut self, route: &KernelRoute) -> Result<()> {
            if self.refused_source == Some(route.source) {
                return FAILED;
            }
            if self.held.iter().any(|held| held.excludes(route)) {
                return EEXIST;
            }
            self.held.push(*route);
            Ok(())
        }

        fn replace(&mut self, _: &KernelRoute) -> Result<()> {
            panic!("it would delete every route through a gateway")
        }

        fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
            let mut delete = |route: &KernelRoute| {
                let at = self.held.iter().position(|held| held.excludes(route));
                let at = at.ok_or(RouteError::System(SystemError::NO_SUCH_ROUTE))?;
                self.held.remove(at);
                self.was_empty |= self.held.is_empty();
                Ok(())
            };
            routes.iter().map(&mut delete).collect()
        }

        fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence> {
            let is_there = |route| !self.is_opaque && self.held.contains(route);
            routes.iter().map(|route| if is_there(route) { Presence::Present } else { Presence::Unknown }).collect()
        }

        fn change_objects(&mut self, _: &[ObjectRequest]) -> Vec<ObjectAnswer> {
            panic!("no route hangs on an object here")
        }

        fn occupant(&mut self, _: &KernelRoute) -> Occupant {
            self.held.first().filter(|_| !self.is_opaque).map_or(Occupant::Unknown, |held| Occupant::Ours(*held))
        }
    }

    const OTHER_SOURCE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2));

    #[test]
    fn an_ipv6_route_with_another_next_hop_is_appended_and_the_old_one_is_to_be_deleted() {
        let route = KernelRoute { next_hop: OTHER_SOURCE, ..IPV6 };
        let mut slot = Ipv6Slot::with(&[IPV6]);
        let outcomes = install(&mut slot, &[DesiredRoute { route, replaces: None, was_listed: false }], false);
        let installed = RequestOutcome::new(Ok(()), Presence::Present);
        assert_eq!(outcomes, [RequestOutcome { replaced: Some(IPV6), ..installed }]);
        assert_eq!((slot.held, slot.was_empty), (vec![IPV6, route], false));
    }

    #[test]
    fn an_ipv6_route_that_differs_in_its_source_alone_takes_the_place_of_the_old_one_and_leaves_nothing_to_delete() {
        let route = KernelRoute { source: OTHER_SOURCE, ..IPV6 };
        let mut slot = Ipv6Slot::with(&[IPV6]);
        let outcomes = install(&mut slot, &[DesiredRoute { route, replaces: None, was_listed: false }], false);
        assert_eq!(outcomes, [RequestOutcome::new(Ok(()), Presence::Present)]);
        assert_eq!(slot.held, [route]);
    }

    #[test]
    fn an_ipv6_route_whose_source_is_refused_leaves_the_old_one_as_it_was_and_known() {
        let route = KernelRoute { source: OTHER_SOURCE, ..IPV6 };
        let mut slot = Ipv6Slot { refused_source: Some(OTHER_SOURCE), ..Ipv6Slot::with(&[IPV6]) };
        let outcomes = install(&mut slot, &[DesiredRoute { route, replaces: None, was_listed: false }], false);
        let refused = RequestOutcome::new(FAILED, Presence::Absent);
        assert_eq!(outcomes, [RequestOutcome { replaced: Some(IPV6), ..refused }]);
        assert_eq!(slot.held, [IPV6]);
    }

    #[test]
    fn an_ipv6_route_that_lost_its_source_gets_it_back_beside_the_sibling_that_it_replaces() {
        let left = IPV6.of_any_source();
        let other = KernelRoute { next_hop: OTHER_SOURCE, ..IPV6 };
        let wanted = DesiredRoute { route: IPV6, replaces: Some(other), was_listed: false };
        let mut slot = Ipv6Slot::with(&[left, other]);
        let outcomes = install(&mut slot, &[wanted], false);
        let installed = RequestOutcome::new(Ok(()), Presence::Present);
        assert_eq!(outcomes, [RequestOutcome { replaced: Some(other), ..installed }]);
        assert_eq!((slot.held, slot.was_empty), (vec![other, IPV6], false));
    }

    #[test]
    fn in_a_table_that_cannot_be_looked_at_an_ipv6_route_is_replaced_only_where_a_listing_has_shown_it() {
        let route = KernelRoute { next_hop: OTHER_SOURCE, ..IPV6 };
        for was_listed in [false, true] {
            let mut slot = Ipv6Slot { is_opaque: true, ..Ipv6Slot::with(&[IPV6]) };
            let wanted = DesiredRoute { route, replaces: Some(IPV6), was_listed };
            let outcome = install(&mut slot, &[wanted], false)[0];
            assert_eq!(outcome.result, if was_listed { Ok(()) } else { Err(RouteError::Occupied) });
            assert_eq!(slot.held.len(), if was_listed { 2 } else { 1 });
        }
    }

    /// Tables that answer every request of a kind alike.
    struct Answers {
        add: Result<()>,
        delete: Result<()>,
        look: Presence,
        occupant: Occupant,
    }

    impl Tables for Answers {
        fn add(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
            vec![self.add; routes.len()]
        }

        fn append(&mut self, _: &KernelRoute) -> Result<()> {
            panic!("nothing of ours occupies the slot")
        }

        fn replace(&mut self, _: &KernelRoute) -> Result<()> {
            panic!("the slot is not to be taken over")
        }

        fn delete(&mut self, routes: &[KernelRoute]) -> Vec<Result<()>> {
            vec![self.delete; routes.len()]
        }

        fn look(&mut self, routes: &[KernelRoute]) -> Vec<Presence> {
            vec![self.look; routes.len()]
        }

        fn change_objects(&mut self, _: &[ObjectRequest]) -> Vec<ObjectAnswer> {
            panic!("no route hangs on an object here")
        }

        fn occupant(&mut self, _: &KernelRoute) -> Occupant {
            self.occupant
        }
    }

    const FAILED: Result<()> = Err(RouteError::System(SystemError(1)));
    const EEXIST: Result<()> = Err(RouteError::System(SystemError::EXISTS));

    #[test]
    fn a_failed_deletion_proves_nothing_and_the_look_after_it_decides() {
        for (look, result) in [(Presence::Present, FAILED), (Presence::Unknown, FAILED), (Presence::Absent, Ok(()))] {
            let mut tables = Answers { add: Ok(()), delete: FAILED, look, occupant: Occupant::Nobody };
            assert_eq!(remove(&mut tables, &[ROUTE]), [RequestOutcome::new(result, look)]);
        }
    }

    #[test]
    fn a_deletion_of_a_route_that_is_not_there_is_a_deletion() {
        let delete = Err(RouteError::System(SystemError::NO_SUCH_ROUTE));
        let mut tables = Answers { add: Ok(()), delete, look: Presence::Unknown, occupant: Occupant::Nobody };
        assert_eq!(remove(&mut tables, &[ROUTE]), [RequestOutcome::new(Ok(()), Presence::Absent)]);
    }

    #[test]
    fn an_occupied_slot_whose_occupant_cannot_be_told_fails_without_a_claim_about_the_route() {
        for look in [Presence::Absent, Presence::Unknown] {
            for occupant in [Occupant::Nobody, Occupant::Unknown] {
                let mut tables = Answers { add: EEXIST, delete: Ok(()), look, occupant };
                let wanted = DesiredRoute { route: ROUTE, replaces: None, was_listed: false };
                let expected = RequestOutcome::new(Err(RouteError::Occupied), look);
                assert_eq!(install(&mut tables, &[wanted], false), [expected]);
            }
        }
    }

    #[test]
    fn an_addition_that_was_refused_counts_as_done_only_where_the_route_is_found() {
        for (look, result, presence) in
            [(Presence::Present, Ok(()), Presence::Present), (Presence::Unknown, FAILED, Presence::Absent)]
        {
            let mut tables = Answers { add: FAILED, delete: Ok(()), look, occupant: Occupant::Nobody };
            let wanted = DesiredRoute { route: ROUTE, replaces: None, was_listed: false };
            assert_eq!(install(&mut tables, &[wanted], false), [RequestOutcome::new(result, presence)]);
        }
    }
}

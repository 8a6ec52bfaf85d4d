//! What a sweep of next-hop objects deletes, and what it leaves, while others act between its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use route_liveness::routes::kernel_route::{Result, RouteError, SystemError};
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::object_request::NextHop;
use route_liveness::routes::object_sweep::{ListedObject, ObjectFilter, ObjectKind, ObjectTable, delete_unused, sweep};
use route_liveness::sim::Random;

const OURS: u8 = 186;
const FILTER: ObjectFilter =
    ObjectFilter { range: ObjectRange { first: 10, last: 19 }, protocol: OURS, ipv4: true, ipv6: true };
const HOP: NextHop = NextHop { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), interface: 3, protocol: OURS };
const NO_ENTRY: RouteError = RouteError::System(SystemError::NO_ENTRY);
const INVALID: RouteError = RouteError::System(SystemError::INVALID);

/// Objects as a kernel keeps them: one that a route leads over, by itself or in a group, is not retired; no route can be added over
/// one that is; and one that is deleted takes its routes along.
#[derive(Default)]
struct Objects {
    held: BTreeMap<u32, ListedObject>,
    /// The objects that routes hang on.
    routes: Vec<u32>,
    /// Before each request somebody else acts.
    rival: Option<Random>,
    /// How many routes went with an object.
    taken_along: usize,
    refuses: bool,
}

impl Objects {
    fn put(&mut self, id: u32, kind: ObjectKind) {
        self.held.insert(id, ListedObject { id, protocol: OURS, kind });
    }

    fn with(objects: &[(u32, ObjectKind)]) -> Self {
        let mut table = Self::default();
        objects.iter().for_each(|(id, kind)| table.put(*id, kind.clone()));
        table
    }

    fn ids(&self) -> Vec<u32> {
        self.held.keys().copied().collect()
    }

    fn members(&self, id: u32) -> Vec<u32> {
        match self.held.get(&id).map(|object| &object.kind) {
            Some(ObjectKind::Group(members)) => members.clone(),
            Some(_) => vec![id],
            None => Vec::new(),
        }
    }

    fn is_used(&self, id: u32) -> bool {
        self.routes.iter().any(|on| *on == id || self.members(*on).contains(&id))
    }

    fn add_route(&mut self, on: u32) {
        let is_plain = |id: &u32| matches!(self.held.get(id).map(|held| &held.kind), Some(ObjectKind::Plain(_)));
        let members = self.members(on);
        if !members.is_empty() && members.iter().all(is_plain) {
            self.routes.push(on);
        }
    }

    fn group(&mut self, id: u32, member: u32) {
        // One of objects for bridges is one for bridges itself, which is not of interest here.
        if matches!(self.held.get(&member).map(|held| &held.kind), Some(ObjectKind::Plain(_))) {
            self.put(id, ObjectKind::Group(vec![member]));
        }
    }

    fn act(&mut self) {
        let Some(mut random) = self.rival.take() else { return };
        let id = 8 + random.up_to(13) as u32;
        match random.up_to(5) {
            0 | 1 => self.add_route(id),
            2 => self.group(30, id),
            3 => self.add_route(30),
            4 => self.routes.retain(|on| *on != id),
            _ => self.routes.retain(|on| *on != 30),
        }
        self.rival = Some(random);
    }
}

impl ObjectTable for Objects {
    fn list(&mut self) -> Result<Vec<ListedObject>> {
        self.act();
        Ok(self.held.values().cloned().collect())
    }

    fn retire(&mut self, id: u32, gateway: IpAddr, _: u8) -> Result<()> {
        self.act();
        if self.refuses {
            return Err(RouteError::Unanswered);
        }
        if self.is_used(id) {
            return Err(INVALID);
        }
        self.held.get_mut(&id).ok_or(NO_ENTRY)?.kind = ObjectKind::Retired(gateway);
        Ok(())
    }

    fn put_back(&mut self, id: u32, hop: NextHop) -> Result<()> {
        self.act();
        self.held.get_mut(&id).ok_or(NO_ENTRY)?.kind = ObjectKind::Plain(hop);
        Ok(())
    }

    fn delete(&mut self, id: u32) -> Result<()> {
        self.act();
        self.taken_along += self.routes.extract_if(.., |on| *on == id).count();
        self.held.remove(&id);
        Ok(())
    }
}

fn all(ids: &[u32]) -> Vec<u32> {
    ids.to_vec()
}

#[test]
fn objects_with_our_protocol_number_and_a_number_of_the_range_that_nobody_uses_are_deleted() {
    let mut table = Objects::with(&[(10, ObjectKind::Plain(HOP)), (19, ObjectKind::Plain(HOP))]);
    assert_eq!(sweep(&mut table, &FILTER, all), Ok(2));
    assert_eq!(table.ids(), []);
}

#[test]
fn objects_of_others_stay() {
    let ipv6 = NextHop { address: "2001:db8::2".parse().unwrap(), ..HOP };
    let mut table = Objects::with(&[
        (9, ObjectKind::Plain(HOP)),
        (11, ObjectKind::Plain(HOP)),
        (12, ObjectKind::Other),
        (13, ObjectKind::Plain(ipv6)),
        (20, ObjectKind::Plain(HOP)),
    ]);
    table.held.get_mut(&11).unwrap().protocol = 42;
    assert_eq!(sweep(&mut table, &ObjectFilter { ipv6: false, ..FILTER }, all), Ok(0));
    assert_eq!(table.ids(), [9, 11, 12, 13, 20]);
    assert_eq!(table.held[&13].kind, ObjectKind::Plain(ipv6));
}

#[test]
fn an_object_that_a_route_hangs_on_or_that_is_in_a_group_stays_as_it_is() {
    let mut table = Objects::with(&[
        (10, ObjectKind::Plain(HOP)),
        (11, ObjectKind::Plain(HOP)),
        (12, ObjectKind::Plain(HOP)),
        (30, ObjectKind::Group(vec![11])),
    ]);
    table.add_route(10);
    assert_eq!(sweep(&mut table, &FILTER, all), Ok(1));
    assert_eq!(table.ids(), [10, 11, 30]);
    assert!([10, 11].iter().all(|id| table.held[id].kind == ObjectKind::Plain(HOP)));
}

#[test]
fn an_object_that_a_registration_needs_stays() {
    let mut table = Objects::with(&[(10, ObjectKind::Plain(HOP)), (11, ObjectKind::Plain(HOP))]);
    assert_eq!(sweep(&mut table, &FILTER, |ids| ids.iter().filter(|id| **id != 10).copied().collect()), Ok(1));
    assert_eq!((table.ids(), &table.held[&10].kind), (vec![10], &ObjectKind::Plain(HOP)));
}

#[test]
fn what_a_sweep_that_was_cut_short_has_retired_is_deleted_by_the_next_one() {
    let mut table = Objects::with(&[(10, ObjectKind::Retired(HOP.address))]);
    assert_eq!(sweep(&mut table, &FILTER, all), Ok(1));
    assert_eq!(table.ids(), []);
}

#[test]
fn a_refusal_is_told_and_what_was_refused_stays() {
    let mut table = Objects { refuses: true, ..Objects::with(&[(10, ObjectKind::Plain(HOP))]) };
    assert_eq!(sweep(&mut table, &FILTER, all), Err(RouteError::Unanswered));
    assert_eq!(table.ids(), [10]);
}

#[test]
fn whatever_others_do_between_its_requests_a_sweep_takes_no_route_along_and_breaks_no_group() {
    for seed in 0..5_000 {
        let mut table = Objects::with(&[]);
        (8..22).for_each(|id| table.put(id, ObjectKind::Plain(HOP)));
        let mut random = Random::new(seed);
        for id in 8..22 {
            if random.chance(300_000) {
                table.add_route(id);
            }
        }
        table.rival = Some(random);
        let deleted = sweep(&mut table, &FILTER, all).unwrap();
        assert_eq!(table.taken_along, 0, "seed {seed}");
        assert_eq!(deleted as usize, 14 - table.held.keys().filter(|id| **id != 30).count());
        let reached: BTreeSet<u32> = table.routes.iter().flat_map(|on| table.members(*on)).collect();
        let is_plain = |id: &u32| table.held.get(id).is_some_and(|held| held.kind == ObjectKind::Plain(HOP));
        assert!(reached.iter().all(is_plain), "seed {seed}");
        assert!(table.members(30).iter().all(is_plain), "seed {seed}");
    }
}

/// The objects with these numbers, as they were made.
fn made(ids: &[u32]) -> BTreeMap<u32, u8> {
    ids.iter().map(|id| (*id, OURS)).collect()
}

#[test]
fn of_some_objects_those_that_are_used_stay_and_those_that_are_not_are_deleted_also_if_they_were_retired_before() {
    let mut table = Objects::with(&[
        (10, ObjectKind::Plain(HOP)),
        (11, ObjectKind::Plain(HOP)),
        (12, ObjectKind::Plain(HOP)),
        (13, ObjectKind::Retired(HOP.address)),
        (14, ObjectKind::Plain(HOP)),
        (30, ObjectKind::Group(vec![11])),
    ]);
    table.add_route(10);
    let stay = delete_unused(&mut table, &made(&[10, 11, 12, 13, 15]));
    assert_eq!((stay, table.ids()), (Ok(BTreeSet::from([10, 11])), vec![10, 11, 14, 30]));
    assert!([10, 11].iter().all(|id| table.held[id].kind == ObjectKind::Plain(HOP)));
}

#[test]
fn of_some_objects_those_that_are_others_by_now_are_not_touched() {
    let kinds =
        [ObjectKind::Plain(HOP), ObjectKind::Retired(HOP.address), ObjectKind::Group(vec![14]), ObjectKind::Other];
    let held: Vec<(u32, ObjectKind)> = (10..).zip(kinds).collect();
    let mut table = Objects::with(&held);
    [10, 11].iter().for_each(|id| table.held.get_mut(id).unwrap().protocol = 42);
    let before = table.held.clone();
    assert_eq!((delete_unused(&mut table, &made(&[10, 11, 12, 13])), table.held), (Ok(BTreeSet::new()), before));
}

#[test]
fn whatever_others_do_meanwhile_an_object_that_was_left_is_deleted_or_stays_as_it_was() {
    for seed in 0..5_000 {
        let mut table = Objects::with(&[]);
        (8..22).for_each(|id| table.put(id, ObjectKind::Plain(HOP)));
        let mut random = Random::new(seed);
        (8..22).filter(|_| random.chance(300_000)).for_each(|id| table.add_route(id));
        table.rival = Some(random);
        let ids: Vec<u32> = (10..20).collect();
        let stay = delete_unused(&mut table, &made(&ids)).unwrap();
        assert_eq!(table.taken_along, 0, "seed {seed}");
        let there: BTreeSet<u32> = table.held.keys().filter(|id| ids.contains(id)).copied().collect();
        assert_eq!(stay, there, "seed {seed}");
        assert!(there.iter().all(|id| table.held[id].kind == ObjectKind::Plain(HOP)), "seed {seed}");
    }
}

#[test]
fn a_kernel_without_objects_has_none_to_sweep() {
    struct None;
    impl ObjectTable for None {
        fn list(&mut self) -> Result<Vec<ListedObject>> {
            Err(RouteError::System(SystemError::NOT_SUPPORTED))
        }
        fn retire(&mut self, _: u32, _: IpAddr, _: u8) -> Result<()> {
            panic!("there is none")
        }
        fn put_back(&mut self, _: u32, _: NextHop) -> Result<()> {
            panic!("there is none")
        }
        fn delete(&mut self, _: u32) -> Result<()> {
            panic!("there is none")
        }
    }
    assert_eq!(sweep(&mut None, &FILTER, all), Ok(0));
}

//! The sweep of next-hop objects that a predecessor left. Pure, over what the kernel can be asked about objects.
//!
//! The kernel deletes an object with all routes on it, whoever has made them, and cannot be asked to delete one only if it has none.
//! But it refuses to turn an object into one for bridges (NHA_FDB) while a route leads over it, and refuses routes over such an
//! object from then on. So an object is *retired* first, which fails where a route hangs on it, and deleted then: no route can come
//! in between. A group may take an object in before it is retired: that one is put back as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::routes::kernel_route::{Result, RouteError, SystemError};
use crate::routes::next_hop::ObjectRange;
use crate::routes::object_request::NextHop;

/// A next-hop object as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its number.
    pub id: u32,
    /// The number that says who has made it.
    pub protocol: u8,
    /// What it is.
    pub kind: ObjectKind,
}

impl ListedObject {
    /// What it leads over, where that is one gateway.
    #[must_use]
    pub fn way(&self) -> Option<NextHop> {
        if let ObjectKind::Plain(hop) = self.kind { Some(hop) } else { None }
    }
}

/// What a next-hop object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// It leads over a gateway and an interface, as ours do.
    Plain(NextHop),
    /// It was retired: it has a gateway, and leads nowhere.
    Retired(IpAddr),
    /// It consists of the objects with these numbers.
    Group(Vec<u32>),
    /// Anything else: it was not made here.
    Other,
}

/// What the kernel can be asked about objects.
pub trait ObjectTable {
    /// All objects.
    ///
    /// # Errors
    /// `System(NOT_SUPPORTED)` of a kernel without objects; what the system says.
    fn list(&mut self) -> Result<Vec<ListedObject>>;

    /// Has an object with this gateway lead nowhere, so that no route can be added over it.
    ///
    /// # Errors
    /// `System(INVALID)` where a route hangs on it, `System(NO_ENTRY)` where there is none.
    fn retire(&mut self, id: u32, gateway: IpAddr, protocol: u8) -> Result<()>;

    /// Has a retired object lead where it led before.
    ///
    /// # Errors
    /// What the system says.
    fn put_back(&mut self, id: u32, hop: NextHop) -> Result<()>;

    /// Deletes an object with what hangs on it.
    ///
    /// # Errors
    /// What the system says; that there is none is no error.
    fn delete(&mut self, id: u32) -> Result<()>;
}

/// Which objects a sweep is about.
#[derive(Clone, Copy, Debug)]
pub struct ObjectFilter {
    /// Those with these numbers, …
    pub range: ObjectRange,
    /// … with this protocol number, …
    pub protocol: u8,
    /// … of IPv4, …
    pub ipv4: bool,
    /// … and of IPv6.
    pub ipv6: bool,
}

impl ObjectFilter {
    fn includes(&self, object: &ListedObject) -> bool {
        let is_of_family = match &object.kind {
            ObjectKind::Plain(NextHop { address, .. }) | ObjectKind::Retired(address) => match address {
                IpAddr::V4(_) => self.ipv4,
                IpAddr::V6(_) => self.ipv6,
            },
            ObjectKind::Group(_) | ObjectKind::Other => false,
        };
        is_of_family && object.protocol == self.protocol && self.range.contains(object.id)
    }
}

/// Deletes the objects of a predecessor over which no route leads and that are in no group. `reserve` is given their numbers, and
/// gives those that nobody in this process needs, nor will until the sweep is over. Gives how many objects were deleted.
///
/// # Errors
/// What the kernel said to the first request that it refused; the others were made all the same.
pub fn sweep(
    table: &mut impl ObjectTable,
    filter: &ObjectFilter,
    reserve: impl FnOnce(&[u32]) -> Vec<u32>,
) -> Result<u32> {
    let listed = match table.list() {
        Err(RouteError::System(SystemError::NOT_SUPPORTED)) => return Ok(0),
        listed => listed?,
    };
    let left: Vec<u32> = listed.iter().filter(|object| filter.includes(object)).map(|object| object.id).collect();
    if left.is_empty() {
        return Ok(0);
    }
    let free: BTreeSet<u32> = reserve(&left).into_iter().collect();
    let Swept { deleted, fault, .. } =
        delete_where(table, |object| free.contains(&object.id) && filter.includes(object))?;
    fault.map(|()| deleted)
}

/// Deletes those of some objects, given with their protocol numbers, over which no route leads and that are in no group. Nobody in this
/// process needs them, nor will. Gives the numbers of those that stay; one that is another's by now is none of them.
///
/// # Errors
/// What the kernel said to the first request that it refused; the others were made all the same.
pub fn delete_unused(table: &mut impl ObjectTable, objects: &BTreeMap<u32, u8>) -> Result<BTreeSet<u32>> {
    let is_ours = |object: &ListedObject| {
        let is_of_our_kind = matches!(object.kind, ObjectKind::Plain(_) | ObjectKind::Retired(_));
        is_of_our_kind && objects.get(&object.id) == Some(&object.protocol)
    };
    let Swept { stay, fault, .. } = delete_where(table, is_ours)?;
    fault.map(|()| stay)
}

/// What became of objects.
struct Swept {
    deleted: u32,
    stay: BTreeSet<u32>,
    fault: Result<()>,
}

fn delete_where(table: &mut impl ObjectTable, is_free: impl Fn(&ListedObject) -> bool) -> Result<Swept> {
    let mut swept = Swept { deleted: 0, stay: BTreeSet::new(), fault: Ok(()) };
    // As they are now, since nobody in this process changes them any more.
    let former = table.list()?;
    retire_unused(table, &former, &is_free, &mut swept.fault);
    let retired = table.list()?;
    let members = members_of(&retired);
    for object in retired.iter().filter(|object| is_free(object)) {
        if !matches!(object.kind, ObjectKind::Retired(_)) {
            swept.stay.insert(object.id);
            continue;
        }
        if members.contains(&object.id) {
            swept.stay.insert(object.id);
            let as_before = former.iter().find(|former| former.id == object.id).map(|former| &former.kind);
            if let Some(ObjectKind::Plain(hop)) = as_before {
                swept.fault = swept.fault.and(table.put_back(object.id, *hop));
            }
            continue;
        }
        let answer = table.delete(object.id);
        swept.deleted += u32::from(answer.is_ok());
        swept.fault = swept.fault.and(answer);
    }
    Ok(swept)
}

fn retire_unused(
    table: &mut impl ObjectTable,
    listed: &[ListedObject],
    is_left: impl Fn(&ListedObject) -> bool,
    fault: &mut Result<()>,
) {
    let members = members_of(listed);
    for object in listed.iter().filter(|object| is_left(object) && !members.contains(&object.id)) {
        let ObjectKind::Plain(hop) = object.kind else { continue };
        match table.retire(object.id, hop.address, object.protocol) {
            // Somebody's route hangs on it, or it is gone.
            Ok(()) | Err(RouteError::System(SystemError::INVALID | SystemError::NO_ENTRY)) => {}
            refused => *fault = fault.and(refused),
        }
    }
}

fn members_of(listed: &[ListedObject]) -> BTreeSet<u32> {
    let members = listed.iter().filter_map(|object| match &object.kind {
        ObjectKind::Group(members) => Some(members),
        _ => None,
    });
    members.flatten().copied().collect()
}

//! Interface index <-> name, kept up to date by the kernel's notifications. An interface that is removed and created again
//! has another index and the same name; sessions are keyed by the name.

use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustc_hash::FxHashMap;

use crate::engine::stats::LinkId;
use crate::net::interface_names::{index_of, name_of};
use crate::system::netlink::each_message;

/// linux/rtnetlink.h: RTMGRP_LINK.
const GROUP_LINK: u32 = 1;

/// The interfaces that sessions use.
pub struct Links {
    notifications: Socket,
    /// By `LinkId`, from 1: 0 stands for all others. The index is 0 while there is no interface of that name.
    known: Vec<Link>,
    ids: FxHashMap<String, LinkId>,
    by_index: FxHashMap<u32, LinkId>,
}

struct Link {
    name: String,
    index: u32,
}

impl Links {
    /// Listens for changes of interfaces; none is known yet.
    ///
    /// # Errors
    /// What the system says about a netlink socket.
    pub fn new() -> std::io::Result<Self> {
        let mut notifications = Socket::new(NETLINK_ROUTE)?;
        notifications.set_non_blocking(true)?;
        notifications.bind(&SocketAddr::new(0, GROUP_LINK))?;
        let other = Link { name: String::new(), index: 0 };
        Ok(Self { notifications, known: vec![other], ids: FxHashMap::default(), by_index: FxHashMap::default() })
    }

    /// The number of the interface with this name, which need not exist now.
    pub fn intern(&mut self, name: &str) -> LinkId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = LinkId(u32::try_from(self.known.len()).expect("fewer interfaces than indices"));
        self.known.push(Link { name: name.to_owned(), index: 0 });
        self.ids.insert(name.to_owned(), id);
        self.assign(id, self.look_up(name));
        id
    }

    /// Forgets the name of an interface that nothing refers to any more. Its number is not used again.
    pub fn forget(&mut self, id: LinkId) {
        self.assign(id, 0);
        let name = std::mem::take(&mut self.known[id.0 as usize].name);
        self.ids.remove(&name);
    }

    /// Forgets the names of all interfaces that do not exist now.
    pub fn forget_absent(&mut self) {
        for id in (1..self.known.len()).map(|id| LinkId(id as u32)) {
            if self.index(id).is_none() {
                self.forget(id);
            }
        }
    }

    /// The number of the interface that a packet came in by.
    #[must_use]
    pub fn by_index(&self, index: u32) -> LinkId {
        self.by_index.get(&index).copied().unwrap_or(LinkId::OTHER)
    }

    /// The interface's index now, if it exists.
    #[must_use]
    pub fn index(&self, id: LinkId) -> Option<u32> {
        self.known.get(id.0 as usize).map(|link| link.index).filter(|index| *index != 0)
    }

    /// The index of each known interface, 0 where it does not exist now.
    #[must_use]
    pub fn indices(&self) -> Vec<(LinkId, u32)> {
        (1..).map(LinkId).zip(self.known.iter().skip(1).map(|link| link.index)).collect()
    }

    /// The interface's name; empty where it was forgotten.
    #[must_use]
    pub fn name(&self, id: LinkId) -> &str {
        self.known.get(id.0 as usize).map_or("", |link| &link.name)
    }

    /// The name of any interface, looked up where it is met for the first time; empty where there is none.
    pub fn name_of(&mut self, index: u32) -> &str {
        let mut id = self.by_index(index);
        if id == LinkId::OTHER
            && let Ok(Some(name)) = name_of(&self.notifications, index)
        {
            id = self.intern(&name);
        }
        self.name(id)
    }

    /// Takes in all notifications that wait. Where the kernel lost some, or sent what cannot be read, every name is looked
    /// up anew; after the others were taken in, since those are older than what is looked up.
    pub fn refresh(&mut self) {
        if !self.take_in_all() {
            self.look_up_all();
        }
    }

    /// Reads until nothing waits; false where something was missed.
    fn take_in_all(&mut self) -> bool {
        let mut is_complete = true;
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            buffer.clear();
            match self.notifications.recv(&mut buffer, 0) {
                Ok(_) => is_complete &= self.read_batch(&buffer),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return is_complete,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => is_complete = false,
                Err(_) => return false,
            }
        }
    }

    fn read_batch(&mut self, datagram: &[u8]) -> bool {
        let (news, is_complete) = read_changes(datagram);
        for LinkChange { name, index, exists } in news {
            // What had this index has another name now, or is gone.
            if let Some(id) = self.by_index.get(&index).copied() {
                self.assign(id, 0);
            }
            if exists && let Some(id) = self.ids.get(&name).copied() {
                self.assign(id, index);
            }
        }
        is_complete
    }

    fn look_up_all(&mut self) {
        self.by_index.clear();
        for id in 1..self.known.len() {
            if self.known[id].name.is_empty() {
                continue;
            }
            let index = self.look_up(&self.known[id].name);
            self.known[id].index = 0;
            self.assign(LinkId(id as u32), index);
        }
    }

    /// The index of an interface now, 0 where there is none. The kernel answers about any name.
    fn look_up(&self, name: &str) -> u32 {
        index_of(&self.notifications, name).ok().flatten().unwrap_or(0)
    }

    fn assign(&mut self, id: LinkId, index: u32) {
        let link = &mut self.known[id.0 as usize];
        if link.index != 0 {
            self.by_index.remove(&link.index);
        }
        link.index = index;
        if index != 0 {
            self.by_index.insert(index, id);
        }
    }
}

impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

/// What a notification says of one interface.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// The interface's name.
    pub name: String,
    /// The interface's index.
    pub index: u32,
    /// Whether it exists from now on.
    pub exists: bool,
}

/// Reads notifications as the kernel wrote them, and gives whether all of them could be read.
#[must_use]
pub fn read_changes(datagram: &[u8]) -> (Vec<LinkChange>, bool) {
    let mut news = Vec::new();
    let mut is_named = true;
    let is_complete = each_message(datagram, |message| {
        let (link, exists) = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => (link, true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => (link, false),
            _ => return,
        };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        match name {
            Some(name) => news.push(LinkChange { name, index: link.header.index, exists }),
            None => is_named = false,
        }
    });
    (news, is_complete && is_named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::netlink::captured::{LINK_ADDED, LINK_LIST, LINK_REMOVED, LINK_RENAMED, bytes, message};

    fn news(name: &str, index: u32, exists: bool) -> LinkChange {
        LinkChange { name: name.into(), index, exists }
    }

    fn links() -> Links {
        let mut links = Links::new().unwrap();
        links.intern("v1");
        links
    }

    #[test]
    fn an_interface_that_is_added_renamed_and_removed_is_reported_with_its_index() {
        assert_eq!(read_changes(&bytes(LINK_ADDED)), (vec![news("v1", 3, true)], true));
        assert_eq!(read_changes(&bytes(LINK_RENAMED)), (vec![news("w1", 3, true)], true));
        assert_eq!(read_changes(&bytes(LINK_REMOVED)), (vec![news("w1", 3, false)], true));
    }

    #[test]
    fn a_list_names_all_interfaces() {
        let (listed, is_complete) = read_changes(&bytes(LINK_LIST));
        assert_eq!(listed, [news("lo", 1, true), news("v2", 4, true), news("v1", 5, true)]);
        assert!(is_complete);
    }

    #[test]
    fn unknown_attributes_do_not_matter() {
        let added = bytes(LINK_ADDED);
        // Eight bytes of an attribute of the type 1023, before the others: linux/rtnetlink.h.
        let body = [&added[16..32], &[8, 0, 0xFF, 3, 1, 2, 3, 4], &added[32..]].concat();
        assert_eq!(read_changes(&message(16, 0, &body)), (vec![news("v1", 3, true)], true));
    }

    #[test]
    fn what_can_be_read_of_a_datagram_counts_although_another_message_in_it_cannot() {
        let datagram = [message(16, 0, &[0; 3]), bytes(LINK_ADDED)].concat();
        assert_eq!(read_changes(&datagram), (vec![news("v1", 3, true)], false));
        // A link without a name.
        assert_eq!(read_changes(&message(16, 0, &bytes(LINK_ADDED)[16..32])), (Vec::new(), false));
    }

    #[test]
    fn a_name_that_is_forgotten_is_another_number_when_it_is_met_again() {
        let mut links = links();
        let first = links.intern("v1");
        links.read_batch(&bytes(LINK_ADDED));
        links.forget(first);
        assert_eq!((links.name(first), links.index(first), links.by_index(3)), ("", None, LinkId::OTHER));
        assert!(links.ids.is_empty());
        let second = links.intern("v1");
        assert_ne!(first, second);
        links.read_batch(&bytes(LINK_ADDED));
        assert_eq!((links.name(second), links.by_index(3)), ("v1", second));
        links.forget_absent();
        assert_eq!(links.name(second), "v1", "it exists");
        links.read_batch(&bytes(LINK_REMOVED));
        links.forget_absent();
        assert!(links.ids.is_empty());
    }

    #[test]
    fn an_index_follows_its_interface() {
        let mut links = links();
        let id = links.intern("v1");
        let index = |links: &Links| links.index(id);
        assert!(links.read_batch(&bytes(LINK_ADDED)));
        assert_eq!((index(&links), links.by_index(3)), (Some(3), id));
        assert!(links.read_batch(&bytes(LINK_RENAMED)));
        assert_eq!((index(&links), links.by_index(3)), (None, LinkId::OTHER));
        links.read_batch(&bytes(LINK_ADDED));
        links.read_batch(&bytes(LINK_REMOVED));
        assert_eq!(index(&links), None);
    }
}

//! Interface index <-> name, kept true by the kernel's notifications. An interface that is removed and made again
//! has another index and the same name; sessions are keyed by the name.

use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::{if_indextoname, if_nametoindex};
use rustc_hash::FxHashMap;

use crate::stats::LinkId;

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
        self.assign(id, index_of(name));
        id
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

    #[must_use]
    pub fn name(&self, id: LinkId) -> &str {
        self.known.get(id.0 as usize).map_or("", |link| &link.name)
    }

    /// The name of any interface, looked up where it is met for the first time; empty where there is none.
    pub fn name_of(&mut self, index: u32) -> &str {
        let mut id = self.by_index(index);
        if id == LinkId::OTHER
            && let Some(name) = name_of(index)
        {
            id = self.intern(&name);
        }
        self.name(id)
    }

    /// Takes in all notifications that wait. Where the kernel lost some, or sent what cannot be read, every name
    /// is looked up anew.
    pub fn refresh(&mut self) {
        let mut buffer = Vec::with_capacity(64 * 1024);
        loop {
            buffer.clear();
            match self.notifications.recv(&mut buffer, 0) {
                Ok(_) => {
                    if self.take_in(&buffer).is_none() {
                        self.look_up_all();
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.look_up_all();
                    if error.raw_os_error() != Some(libc::ENOBUFS) {
                        return;
                    }
                }
            }
        }
    }

    fn take_in(&mut self, buffer: &[u8]) -> Option<()> {
        for LinkNews { name, index, exists } in read_news(buffer)? {
            // What had this index has another name now, or is gone.
            if let Some(id) = self.by_index.get(&index).copied() {
                self.assign(id, 0);
            }
            if exists && let Some(id) = self.ids.get(&name).copied() {
                self.assign(id, index);
            }
        }
        Some(())
    }

    fn look_up_all(&mut self) {
        self.by_index.clear();
        for id in 1..self.known.len() {
            let index = index_of(&self.known[id].name);
            self.known[id].index = 0;
            self.assign(LinkId(id as u32), index);
        }
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
pub struct LinkNews {
    pub name: String,
    pub index: u32,
    pub exists: bool,
}

/// Reads notifications as the kernel wrote them; `None` where one of them cannot be read.
#[must_use]
pub fn read_news(mut messages: &[u8]) -> Option<Vec<LinkNews>> {
    let mut news = Vec::new();
    while !messages.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(messages).ok()?;
        // Messages are padded to four bytes.
        let length = (message.header.length as usize).next_multiple_of(4).min(messages.len());
        messages = &messages[length..];
        let (link, exists) = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => (link, true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => (link, false),
            _ => continue,
        };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })?;
        news.push(LinkNews { name, index: link.header.index, exists });
    }
    Some(news)
}

fn name_of(index: u32) -> Option<String> {
    if_indextoname(index).ok()?.into_string().ok()
}

fn index_of(name: &str) -> u32 {
    if_nametoindex(name).unwrap_or(0)
}

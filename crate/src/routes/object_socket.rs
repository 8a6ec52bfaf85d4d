//! Next-hop objects over rtnetlink, as their sweep and listings of routes ask for them.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_DUMP_INTR, NetlinkPayload};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rustc_hash::FxHashMap;

use crate::routes::answers::errno_of;
use crate::routes::kernel_route::{Result, RouteError};
use crate::routes::listing::bare_object_of;
use crate::routes::next_hop_request;
use crate::routes::object_request::{NextHop, ObjectAnswer, ObjectOp, ObjectRequest};
use crate::routes::object_sweep::{ListedObject, ObjectTable};
use crate::routes::socket::{DUMP_TRIES, RouteSocket};
use crate::routes::tables::Tables;
use crate::system::netlink::each_message;

impl RouteSocket {
    fn change_one(&mut self, op: ObjectOp, id: u32, hop: NextHop) -> Result<()> {
        match self.change_objects(&[ObjectRequest { op, id, hop, routes: Vec::new() }])[..] {
            [ObjectAnswer::Failed(error)] => Err(error),
            _ => Ok(()),
        }
    }

    /// The objects, and whether none changed while the kernel was listing.
    fn list_objects(&mut self) -> Result<(Vec<ListedObject>, bool)> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        next_hop_request::append_dump(sequence, &mut buffer);
        self.socket.send(&buffer, 0)?;
        let (mut listed, mut is_consistent, mut end) = (Vec::new(), true, None);
        let mut buffer = Vec::with_capacity(64 * 1024);
        while end.is_none() {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            let headers = next_hop_request::headers(&buffer);
            // Answers to something that was given up on earlier are ignored.
            if headers.iter().any(|(of, _)| *of != sequence) {
                continue;
            }
            is_consistent &= headers.iter().all(|(_, flags)| flags & NLM_F_DUMP_INTR == 0);
            let rest = next_hop_request::take_listed(&buffer, |object| listed.push(object));
            each_message(&rest, |message| match message.payload {
                NetlinkPayload::Done(_) => end = Some(Ok(())),
                NetlinkPayload::Error(error) => {
                    let error = error.code.map(|code| RouteError::System(errno_of(code).into()));
                    end = Some(error.map_or(Ok(()), Err));
                }
                _ => {}
            });
        }
        end.unwrap_or(Ok(())).map(|()| (listed, is_consistent))
    }
}

impl RouteSocket {
    /// Adds to routes that are listed with their object alone what that leads over.
    pub(super) fn complete(&mut self, listed: &mut [RouteMessage]) -> Result<()> {
        let bare: Vec<u32> = listed.iter().filter_map(bare_object_of).collect();
        let ways: FxHashMap<u32, NextHop> = match bare[..] {
            [] => return Ok(()),
            [id] => self.object(id).and_then(|told| Some((id, told.hop?))).into_iter().collect(),
            _ => ObjectTable::list(self)?.into_iter().filter_map(|object| Some((object.id, object.way()?))).collect(),
        };
        for message in listed {
            if let Some(way) = bare_object_of(message).and_then(|id| ways.get(&id)) {
                message.attributes.push(RouteAttribute::Gateway(way.address.into()));
                message.attributes.push(RouteAttribute::Oif(way.interface));
            }
        }
        Ok(())
    }
}

impl ObjectTable for RouteSocket {
    fn list(&mut self) -> Result<Vec<ListedObject>> {
        let mut listed = Vec::new();
        for _ in 0..DUMP_TRIES {
            let is_consistent;
            (listed, is_consistent) = self.list_objects()?;
            if is_consistent {
                break;
            }
        }
        Ok(listed)
    }

    fn retire(&mut self, id: u32, gateway: IpAddr, protocol: u8) -> Result<()> {
        let sequence = self.sequence();
        let mut buffer = Vec::new();
        next_hop_request::append_retirement(id, gateway, protocol, sequence, &mut buffer);
        self.socket.send(&buffer, 0)?;
        self.acknowledgements(sequence, 1).remove(0)
    }

    fn put_back(&mut self, id: u32, hop: NextHop) -> Result<()> {
        self.change_one(ObjectOp::Move, id, hop)
    }

    fn delete(&mut self, id: u32) -> Result<()> {
        let nowhere = NextHop { address: [0; 4].into(), interface: 0, protocol: 0 };
        self.change_one(ObjectOp::Delete, id, nowhere)
    }
}

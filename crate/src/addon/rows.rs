//! Sessions and routes from JavaScript, as rows of 32-bit numbers instead of objects. `ts/engine/native/rows.ts` writes the rows;
//! both files change together.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::addon::errors::{Coded, coded};
use crate::driver::command_queue::SessionConfig;
use crate::engine::SessionId;
use crate::protocol::timers::Timers;
use crate::routes::armed::ArmedRoute;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::outcome::RouteId;

const SESSION_COLUMNS: usize = 8;
const ROUTE_COLUMNS: usize = 11;

const NO_UNINSTALL: u32 = 1;
const ADMIN_DOWN: u32 = 2;
const ADOPTED: u32 = 4;

/// Reads sessions. Their rows name interfaces by position.
pub(super) fn sessions(rows: &[u32], interfaces: Vec<String>) -> Result<Vec<SessionConfig>, Coded> {
    let interfaces: Vec<Arc<str>> = interfaces.into_iter().map(Into::into).collect();
    let (rows, rest) = rows.as_chunks::<SESSION_COLUMNS>();
    let order = |row: &[u32; SESSION_COLUMNS]| {
        let [id, interface, local, peer, peer_port, tx_min_us, rx_min_us, detect_mult] = *row;
        Some(SessionConfig {
            id: SessionId(id),
            interface: Arc::clone(interfaces.get(interface as usize)?),
            local: Ipv4Addr::from_bits(local).into(),
            peer: Ipv4Addr::from_bits(peer).into(),
            peer_port: peer_port.try_into().ok()?,
            timers: Timers { tx_min_us, rx_min_us, detect_mult: detect_mult.try_into().ok()? },
        })
    };
    whole(rest).and_then(|()| rows.iter().map(order).collect()).ok_or_else(malformed)
}

/// Reads routes to arm.
pub(super) fn routes(rows: &[u32]) -> Result<Vec<ArmedRoute>, Coded> {
    let (rows, rest) = rows.as_chunks::<ROUTE_COLUMNS>();
    let route = |row: &[u32; ROUTE_COLUMNS]| {
        let [id, session, generation, table, destination, prefix_length, source, next_hop, protocol, priority, flags] =
            *row;
        Some(ArmedRoute {
            id: RouteId(id),
            session: SessionId(session),
            generation,
            route: KernelRoute {
                table,
                destination: Ipv4Addr::from_bits(destination).into(),
                prefix_length: prefix_length.try_into().ok()?,
                source: Ipv4Addr::from_bits(source).into(),
                next_hop: Ipv4Addr::from_bits(next_hop).into(),
                // The driver takes the interface from the session.
                interface: 0,
                protocol: protocol.try_into().ok()?,
                priority,
            },
            no_uninstall: flags & NO_UNINSTALL != 0,
            admin_down: flags & ADMIN_DOWN != 0,
            adopted: flags & ADOPTED != 0,
        })
    };
    whole(rest).and_then(|()| rows.iter().map(route).collect()).ok_or_else(malformed)
}

fn whole(rest: &[u32]) -> Option<()> {
    rest.is_empty().then_some(())
}

fn malformed() -> Coded {
    coded(
        "ERR_ENGINE_UNAVAILABLE",
        "the addon was built for another version of the package: a row is not as it should be",
    )
}

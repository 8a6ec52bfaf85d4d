//! Sessions and routes from JavaScript, as rows of 32-bit numbers instead of objects. `ts/engine/native/rows.ts` writes the rows;
//! both files change together.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::addon::auth::NativeAuth;
use crate::addon::errors::{Coded, coded};
use crate::driver::command_queue::{ArmOrder, BackupOrder, SessionConfig};
use crate::engine::SessionId;
use crate::protocol::bfd::authentication::key::Key;
use crate::protocol::bfd::options::{BfdOptions, Role};
use crate::protocol::timers::Timers;
use crate::routes::armed::ArmedRoute;
use crate::routes::damping::Damping;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::outcome::RouteId;

const SESSION_COLUMNS: usize = 17;
const ROUTE_COLUMNS: usize = 32;

const MULTIHOP: u32 = 1;
const PASSIVE: u32 = 2;

const NO_UNINSTALL: u32 = 1;
const ADMIN_DOWN: u32 = 2;
const ADOPTED: u32 = 4;
const KEEP_ON_PEER_ADMIN_DOWN: u32 = 8;

/// Reads sessions. Their rows name interfaces by position, and keys by the position after it: 0 is none.
pub(super) fn sessions(
    rows: &[u32],
    interfaces: Vec<String>,
    auths: Vec<NativeAuth>,
) -> Result<Vec<SessionConfig>, Coded> {
    let interfaces: Vec<Arc<str>> = interfaces.into_iter().map(Into::into).collect();
    let auths = auths.into_iter().map(NativeAuth::keys).collect::<Result<Vec<Arc<[Key]>>, Coded>>()?;
    let (rows, rest) = rows.as_chunks::<SESSION_COLUMNS>();
    let order = |row: &[u32; SESSION_COLUMNS]| {
        let [id, interface, l0, l1, l2, l3, p0, p1, p2, p3, peer_port, tx_min_us, rx_min_us, detect_mult, ..] = *row;
        let [.., flags, min_ttl, auth] = *row;
        let keys = match auth.checked_sub(1) {
            Some(position) => Arc::clone(auths.get(position as usize)?),
            None => Arc::default(),
        };
        Some(SessionConfig {
            id: SessionId(id),
            interface: Arc::clone(interfaces.get(interface as usize)?),
            local: address([l0, l1, l2, l3]),
            peer: address([p0, p1, p2, p3]),
            peer_port: peer_port.try_into().ok()?,
            timers: Timers { tx_min_us, rx_min_us, detect_mult: detect_mult.try_into().ok()? },
            multihop: flags & MULTIHOP != 0,
            min_ttl: Some(u8::try_from(min_ttl).ok()?).filter(|ttl| *ttl > 0),
            bfd: BfdOptions {
                role: if flags & PASSIVE == 0 { Role::Active } else { Role::Passive },
                keys,
                source_port: 0,
            },
        })
    };
    whole(rest).and_then(|()| rows.iter().map(order).collect()).ok_or_else(malformed)
}

/// Reads routes to arm. Their rows name the interfaces of backups by the position after it: 0 is no backup.
pub(super) fn routes(rows: &[u32], interfaces: Vec<String>) -> Result<Vec<ArmOrder>, Coded> {
    let interfaces: Vec<Arc<str>> = interfaces.into_iter().map(Into::into).collect();
    let (rows, rest) = rows.as_chunks::<ROUTE_COLUMNS>();
    let route = |row: &[u32; ROUTE_COLUMNS]| {
        let [id, session, generation, table, d0, d1, d2, d3, prefix_length, ..] = *row;
        let [_, _, _, _, _, _, _, _, _, s0, s1, s2, s3, n0, n1, n2, n3, protocol, priority, flags, ..] = *row;
        let [.., hold_up_ms, penalty, suppress_above, reuse_below, half_life_ms, max_suppress_ms, _, _, _, _, _, _] =
            *row;
        let [.., backup, b0, b1, b2, b3, backup_session] = *row;
        let backup = match backup.checked_sub(1) {
            None => None,
            Some(position) => Some(BackupOrder {
                next_hop: address([b0, b1, b2, b3]),
                interface: Arc::clone(interfaces.get(position as usize)?),
                session: Some(SessionId(backup_session)).filter(|session| session.0 != 0),
            }),
        };
        let route = ArmedRoute {
            id: RouteId(id),
            session: SessionId(session),
            generation,
            route: KernelRoute {
                table,
                destination: address([d0, d1, d2, d3]),
                prefix_length: prefix_length.try_into().ok()?,
                source: address([s0, s1, s2, s3]),
                next_hop: address([n0, n1, n2, n3]),
                // The driver takes the interface from the session.
                interface: 0,
                protocol: protocol.try_into().ok()?,
                priority,
                object: 0,
            },
            no_uninstall: flags & NO_UNINSTALL != 0,
            admin_down: flags & ADMIN_DOWN != 0,
            adopted: flags & ADOPTED != 0,
            keep_on_peer_admin_down: flags & KEEP_ON_PEER_ADMIN_DOWN != 0,
            damping: Damping { hold_up_ms, penalty, suppress_above, reuse_below, half_life_ms, max_suppress_ms },
            // The driver takes it from the order.
            backup: None,
        };
        Some(ArmOrder { route, backup })
    };
    whole(rest).and_then(|()| rows.iter().map(route).collect()).ok_or_else(malformed)
}

/// An IPv4 address comes as the IPv6 address that stands for it (RFC 4291 §2.5.5.2).
fn address([a, b, c, d]: [u32; 4]) -> IpAddr {
    let bits = u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 32 | u128::from(d);
    Ipv6Addr::from_bits(bits).to_canonical()
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

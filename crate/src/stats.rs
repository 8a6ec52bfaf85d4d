//! Counters per (interface, local IP), in plain memory: counting is an addition, reading is a copy.

use std::net::Ipv4Addr;

use rustc_hash::FxHashMap;

use crate::histogram::{HANDLE_RX_BOUNDS_NS, Histogram};
use crate::packet::State;

/// Names an interface inside the engine. The driver knows which interface that is; an interface that is removed
/// and made again under its name keeps its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl LinkId {
    /// Any interface that no session uses.
    pub const OTHER: LinkId = LinkId(0);
}

/// What the counters are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub link: LinkId,
    pub local: Ipv4Addr,
}

impl Scope {
    /// What belongs to no session.
    pub const OTHER: Scope = Scope { link: LinkId::OTHER, local: Ipv4Addr::UNSPECIFIED };
}

/// An index into `Stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeId(u32);

/// Why a received packet was dropped before it reached a session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Invalid {
    Short,
    Version,
    Length,
    DetectMult,
    Discriminator,
    Interval,
    ForeignDiscriminator,
    /// It crossed more routers than it may (RFC 5082).
    Ttl,
}

impl Invalid {
    pub const COUNT: usize = 8;

    /// The values of the `reason` label, in the order of the kinds.
    pub const NAMES: [&'static str; Self::COUNT] =
        ["short", "bad_version", "bad_len", "bad_detect_mult", "bad_discr", "bad_interval", "foreign_discr", "bad_ttl"];
}

/// Why a session changed its state: the `reason` label of the transition counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    RegisterRoute,
    HandleRx,
    DetectTimeout,
    AdminDown,
}

impl Cause {
    pub const COUNT: usize = 4;
    pub const ALL: [Cause; Self::COUNT] =
        [Cause::RegisterRoute, Cause::HandleRx, Cause::DetectTimeout, Cause::AdminDown];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cause::RegisterRoute => "register_route",
            Cause::HandleRx => "handle_rx",
            Cause::DetectTimeout => "detect_timeout",
            Cause::AdminDown => "admin_down",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Counters {
    /// Sessions by state, now.
    pub sessions: [u64; State::ALL.len()],
    /// Entries in the queue, now: at most two per session.
    pub queued: u64,
    pub tx: u64,
    pub rx: u64,
    pub rx_invalid: [u64; Invalid::COUNT],
    pub unknown_peer: u64,
    pub write_errors: u64,
    /// Transmits that were given up on, since the socket took nothing for too long.
    pub dropped: u64,
    pub timeouts: u64,
    /// Detection timeouts put off because the silence may have been our own fault.
    pub graces: u64,
    /// Sessions that began, in Down: they had no state before.
    pub registered: u64,
    /// By old state, new state and cause.
    pub transitions: [[[u64; Cause::COUNT]; State::ALL.len()]; State::ALL.len()],
    /// How long the handling of a received packet took. Whoever has a clock observes it.
    pub handle_rx: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            sessions: Default::default(),
            queued: 0,
            tx: 0,
            rx: 0,
            rx_invalid: Default::default(),
            unknown_peer: 0,
            write_errors: 0,
            dropped: 0,
            timeouts: 0,
            graces: 0,
            registered: 0,
            transitions: Default::default(),
            handle_rx: Histogram::new(HANDLE_RX_BOUNDS_NS),
        }
    }
}

/// All counters. A scope, once seen, stays: counters never fall.
#[derive(Debug, Default)]
pub struct Stats {
    ids: FxHashMap<Scope, ScopeId>,
    scopes: Vec<(Scope, Counters)>,
}

impl Stats {
    /// The scope of a session, made where it is new.
    pub fn scope(&mut self, scope: Scope) -> ScopeId {
        *self.ids.entry(scope).or_insert_with(|| {
            self.scopes.push((scope, Counters::default()));
            ScopeId(u32::try_from(self.scopes.len() - 1).expect("fewer scopes than addresses"))
        })
    }

    /// The scope that a packet is counted in which belongs to no session. Destination addresses without a session
    /// share one scope per link: whoever sends them must not make the table grow.
    pub fn scope_of_stranger(&mut self, scope: Scope) -> ScopeId {
        match self.ids.get(&scope) {
            Some(id) => *id,
            None => self.scope(Scope { local: Ipv4Addr::UNSPECIFIED, ..scope }),
        }
    }

    pub fn at(&mut self, id: ScopeId) -> &mut Counters {
        &mut self.scopes[id.0 as usize].1
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Scope, Counters)> {
        self.scopes.iter()
    }
}

//! Measures the core with very many sessions in simulated time: the processor time of an event, and the memory of a session.
//! It uses no sockets, and clocks only to measure. Prints one line of JSON.
//!
//! An event is a received packet or a sent packet. The example answers each packet that the engine sends as the peer would.
#![cfg_attr(feature = "addon", allow(dead_code, reason = "the addon has an allocator of its own"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{AddError, Datagram, Engine, Path, SessionId, SessionSpec, Transmit};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::ROBUST;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;

const INTERVAL_US: u64 = 1_000_000;
const TURN_US: u64 = 1_000;

/// The system's allocator, with a count of the bytes in use.
struct Weighed;

static WEIGHT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Weighed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        WEIGHT.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        WEIGHT.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[cfg_attr(not(feature = "addon"), global_allocator)]
static ALLOCATOR: Weighed = Weighed;

fn main() {
    let sessions = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().expect("a number of sessions"));
    let virtual_us = (3_000_000_000 / u64::from(sessions)).clamp(3 * INTERVAL_US, 60 * INTERVAL_US);
    let policy = Policy {
        rules: &ROBUST,
        min_tx_floor_us: 50_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    };
    let before = WEIGHT.load(Ordering::Relaxed);
    let mut engine = Engine::new(policy, sessions as usize, 1).with_slack(1_000);
    let mut now = Time::from_micros(1_000_000);
    for number in 1..=sessions {
        let timers = Timers { tx_min_us: INTERVAL_US as u32, rx_min_us: INTERVAL_US as u32, detect_mult: 3 };
        let spec =
            SessionSpec { id: SessionId(number), path: path(number), peer_port: Liveness::PORT, timers, min_ttl: None };
        let added = loop {
            let discr = engine.draw_discriminator();
            match engine.add_session(now, spec, discr) {
                Err(AddError::DiscriminatorTaken) => {}
                result => break result,
            }
        };
        added.expect("the engine has room for all of them");
    }
    while engine.poll_event().is_some() {}
    // The first packets are paced over one second; all sessions are Up after two.
    let warm_up_events;
    (now, warm_up_events) = run(&mut engine, now, 2 * INTERVAL_US);
    let bytes = WEIGHT.load(Ordering::Relaxed) - before;
    let began = cpu_time();
    let (_, events) = run(&mut engine, now, virtual_us);
    let took_ns = (cpu_time() - began).as_nanos();
    let timeouts: u64 = engine.stats().iter().map(|(_, counters)| counters.timeouts).sum();
    assert_eq!(timeouts, 0, "no session times out, since every packet is answered");
    println!(
        "{{\"sessions\":{sessions},\"warmUpEvents\":{warm_up_events},\"events\":{events},\"nanosPerEvent\":{:.1},\"bytesPerSession\":{:.1}}}",
        took_ns as f64 / events as f64,
        bytes as f64 / f64::from(sessions),
    );
}

/// The processor time of this process: on a busy machine it does not include waiting.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every process has a CPU clock").into()
}

/// Makes turns of one millisecond, as the driver does: reads, runs what is due, sends. Returns the time and the number of
/// events. `bench/check.mjs` counts the instructions in this function, so it is not inlined.
#[inline(never)]
fn run(engine: &mut Engine, mut now: Time, us: u64) -> (Time, u64) {
    let until = now.plus(us);
    let mut events = 0;
    let mut returning: Vec<Transmit> = Vec::new();
    while now < until {
        now = now.plus(TURN_US);
        for transmit in returning.drain(..) {
            let bytes = answer(&transmit);
            engine.handle_datagram(
                now,
                Datagram { arrival: now.minus(TURN_US / 2), path: transmit.path, ttl: None, min_ttl: 0, bytes: &bytes },
            );
            events += 1;
        }
        engine.handle_timeout(now, now);
        engine.transmit_ahead(now);
        while let Some(transmit) = engine.poll_transmit() {
            returning.push(transmit);
            events += 1;
        }
        while engine.poll_event().is_some() {}
        engine.put_back_detections(now.plus(TURN_US));
    }
    (now, events)
}

fn path(number: u32) -> Path {
    Path {
        link: LinkId(1),
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        peer: IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + number)),
    }
}

/// The peer's answer to a packet: it names the session that sent the packet.
fn answer(transmit: &Transmit) -> [u8; 40] {
    let packet = ControlPacket::unmarshal(&transmit.bytes).expect("an engine sends valid packets");
    ControlPacket {
        state: if packet.state == State::Down { State::Init } else { State::Up },
        local_discr: !packet.local_discr | 1,
        peer_discr: packet.local_discr,
        ..packet
    }
    .marshal()
}

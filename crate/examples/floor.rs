//! The lower bound that the bench compares the engine with: a loop that sends and receives as many 40-byte datagrams as an
//! engine with this many sessions, and does nothing else. It has no states and no detection: only a wheel of millisecond
//! ticks and the crate's socket, which makes `recvmmsg` and `sendmmsg` calls for 64 datagrams with packet info.
//!
//! Reads one line of JSON (`Setup`), prints `{"ready":true}`, then prints a `Sample` for every further line. Ends at the end of
//! its input.

use std::io::{BufRead, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use route_liveness::net::cells::BATCH;
use route_liveness::net::rx_socket::RxSocket;
use route_liveness::net::socket::bind;
use route_liveness::net::tx_socket::{Outgoing, TxSocket, Wire};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::jitter::{self, Xorshift32};
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::{ControlPacket, PACKET_LEN};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::system::clock;
use serde::{Deserialize, Serialize};

const TICK_US: u64 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    iface: String,
    port: u16,
    interval_us: u64,
    wake: Wake,
    /// Local address and peer of each session.
    sessions: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// What the loop waits for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wake {
    /// The next tick or the next datagram.
    Receive,
    /// The next tick; the loop then reads the datagrams that have arrived.
    Tick,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    tx: u64,
    rx: u64,
    cpu_us: i64,
    now_us: u64,
}

#[derive(Default)]
struct Counts {
    tx: AtomicU64,
    rx: AtomicU64,
    stop: AtomicBool,
}

fn main() {
    let mut lines = stdin().lock().lines();
    let setup = lines.next().expect("one line of JSON").expect("readable input");
    let setup: Setup = serde_json::from_str(&setup).expect("a valid setup");
    let counts = Arc::new(Counts::default());
    let mut floor = Floor::new(&setup, Arc::clone(&counts));
    let worker = thread::spawn(move || floor.run());
    println!("{{\"ready\":true}}");
    for _ in lines {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage succeeds for the calling process");
        let sample = Sample {
            tx: counts.tx.load(Ordering::Relaxed),
            rx: counts.rx.load(Ordering::Relaxed),
            cpu_us: usage.user_time().num_microseconds() + usage.system_time().num_microseconds(),
            now_us: clock::now().micros(),
        };
        println!("{}", serde_json::to_string(&sample).expect("numbers can be written as JSON"));
        stdout().flush().expect("the reader of the output is alive");
    }
    counts.stop.store(true, Ordering::Relaxed);
    worker.join().expect("the loop does not panic");
}

struct Floor {
    rx: RxSocket,
    tx: TxSocket,
    packets: Vec<Outgoing<[u8; PACKET_LEN]>>,
    /// For each tick, the sessions that send then. The wheel has more ticks than the interval.
    wheel: Vec<Vec<u32>>,
    last_rx: Vec<Option<Time>>,
    interval_us: u64,
    wake: Wake,
    random: Xorshift32,
    counts: Arc<Counts>,
}

impl Floor {
    fn new(setup: &Setup, counts: Arc<Counts>) -> Self {
        let ifindex = if_nametoindex(setup.iface.as_str()).expect("the interface exists");
        let packet = |(number, (local, peer)): (u32, &(Ipv4Addr, Ipv4Addr))| Outgoing {
            bytes: packet(number, setup.interval_us),
            destination: SocketAddr::new((*peer).into(), setup.port),
            source: (*local).into(),
            source_port: 0,
            ifindex,
        };
        let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), setup.port);
        let (rx, tx) = bind::<Liveness>(address, setup.sessions.len()).expect("the port is free");
        let mut floor = Self {
            rx,
            tx,
            packets: (1..).zip(&setup.sessions).map(packet).collect(),
            wheel: vec![Vec::new(); usize::try_from(setup.interval_us * 2 / TICK_US).expect("a short interval")],
            last_rx: vec![None; setup.sessions.len() + 1],
            interval_us: setup.interval_us,
            wake: setup.wake,
            random: Xorshift32::new(std::process::id()),
            counts,
        };
        for number in 1..=u32::try_from(setup.sessions.len()).expect("fewer than 2^32 sessions") {
            let spread = floor.random.below(setup.interval_us) / TICK_US;
            floor.wheel[spread as usize].push(number);
        }
        floor
    }

    fn run(&mut self) {
        let mut tick = 0u64;
        let began = clock::now();
        while !self.counts.stop.load(Ordering::Relaxed) {
            tick += 1;
            let at = began.plus(tick * TICK_US);
            self.sleep(at);
            self.receive();
            self.send(tick);
        }
    }

    fn sleep(&mut self, until: Time) {
        match self.wake {
            Wake::Tick => {
                let at = TimeSpec::microseconds(until.micros().cast_signed());
                // A signal makes the tick come early.
                let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at);
            }
            Wake::Receive => loop {
                let left_us = until.since(clock::now());
                if left_us == 0 {
                    return;
                }
                let timeout = TimeSpec::microseconds(left_us.cast_signed());
                let mut wait_for = [PollFd::new(std::os::fd::AsFd::as_fd(&self.rx), PollFlags::POLLIN)];
                let ready = nix::poll::ppoll(&mut wait_for, Some(timeout), None).unwrap_or(0);
                if ready > 0 {
                    self.receive();
                }
            },
        }
    }

    fn receive(&mut self) {
        loop {
            let count = self.rx.receive().unwrap_or(0);
            let now = clock::now();
            for received in self.rx.received() {
                let Some(discr) = received.bytes.get(8..12) else { continue };
                let number = u32::from_be_bytes([discr[0], discr[1], discr[2], discr[3]]);
                if let Some(last_rx) = self.last_rx.get_mut(number as usize) {
                    *last_rx = Some(now);
                }
            }
            self.counts.rx.fetch_add(count as u64, Ordering::Relaxed);
            if count < BATCH {
                return;
            }
        }
    }

    fn send(&mut self, tick: u64) {
        let slots = self.wheel.len() as u64;
        let due = std::mem::take(&mut self.wheel[(tick % slots) as usize]);
        for numbers in due.chunks(BATCH) {
            let batch: Vec<Outgoing<[u8; PACKET_LEN]>> =
                numbers.iter().map(|number| self.packets[*number as usize - 1]).collect();
            let sent = self.tx.send(&batch, |_, _| {});
            self.counts.tx.fetch_add(sent as u64, Ordering::Relaxed);
            for number in numbers {
                let ticks = (jitter::between(Liveness::jitter_bounds_us(self.interval_us, 3, 3), 0, &mut self.random)
                    / TICK_US)
                    .max(1);
                self.wheel[((tick + ticks) % slots) as usize].push(*number);
            }
        }
    }
}

/// A packet of a session that is Up, to the session of the same number on the other side.
fn packet(number: u32, interval_us: u64) -> [u8; PACKET_LEN] {
    let interval_us = u32::try_from(interval_us).expect("a short interval");
    ControlPacket {
        state: State::Up,
        detect_mult: 3,
        local_discr: number,
        peer_discr: number,
        desired_min_tx_us: interval_us,
        required_min_rx_us: interval_us,
        passive: false,
        client_version: [0; 4],
    }
    .marshal()
}

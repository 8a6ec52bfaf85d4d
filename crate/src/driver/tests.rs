//! Tests of the thread, and what tests of its parts share.

use std::net::{Ipv4Addr, UdpSocket as StdSocket};
use std::thread;

use super::*;
use crate::driver::command_queue::SessionConfig;
use crate::driver::receiving::{FATAL_READ_ERRORS, READS_PER_TURN};
use crate::net::socket;
use crate::protocol::bfd::options::BfdOptions;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::liveness::Liveness;
use crate::protocol::liveness::packet::{ControlPacket, PACKET_LEN};
use crate::protocol::rules::ROBUST;
use crate::protocol::time::ClockReading;
use crate::protocol::timers::Timers;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) fn options() -> DriverOptions<Liveness> {
    DriverOptions {
        addresses: vec![LOCALHOST.into()],
        port: 0,
        multihop_port: 0,
        policy: Policy {
            rules: &ROBUST,
            min_tx_floor_us: 50_000,
            max_tx_ceil_us: 1_000_000,
            backoff_max_us: 1_000_000,
            require_discriminator: false,
            min_ttl: 0,
            identity: None,
        },
        max_sessions: 5_000,
        arming_policy: ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None },
        realtime: Realtime::default(),
        withdraw_on_fatal: false,
        filter_repeats: false,
        resume: None,
    }
}

pub(crate) fn mailbox() -> Arc<Mailbox> {
    Arc::new(Mailbox::new(Box::new(|| {})))
}

fn driver() -> Driver<Liveness> {
    Driver::new(options(), Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap()
}

pub(crate) fn config(peer_port: u16, interface: &str) -> SessionConfig {
    SessionConfig {
        id: SessionId(1),
        interface: interface.into(),
        local: LOCALHOST.into(),
        peer: LOCALHOST.into(),
        peer_port,
        timers: Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 },
        multihop: false,
        min_ttl: None,
        bfd: BfdOptions::default(),
    }
}

pub(crate) fn peer() -> StdSocket {
    let peer = StdSocket::bind((LOCALHOST, 0)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer
}

#[test]
fn a_socket_full_of_garbage_does_not_postpone_what_is_due() {
    let mut driver = driver();
    let peer = peer();
    let garbage = [0; 40];
    for _ in 0..3 * READS_PER_TURN * BATCH {
        peer.send_to(&garbage, driver.local_addr().unwrap()).unwrap();
    }
    driver.add_session(clock::now(), config(peer.local_addr().unwrap().port(), "lo"));
    driver.turn().unwrap();
    let mut bytes = [0; 64];
    assert_eq!(peer.recv(&mut bytes).unwrap(), 40, "the session was probed in that turn");
    assert!(driver.receivers[0].socket.receive().unwrap() > 0, "although there was more to read");
}

#[test]
fn no_session_expires_by_a_turn_that_could_not_read_everything() {
    let mut driver = driver();
    let peer = peer();
    for _ in 0..3 * READS_PER_TURN * BATCH {
        peer.send_to(&[0; 40], driver.local_addr().unwrap()).unwrap();
    }
    let began = clock::now();
    assert!(driver.read(clock::now()).unwrap() < began, "what arrived last was not read");
    while driver.read(clock::now()).unwrap() < began {}
}

#[test]
fn no_session_expires_by_a_read_that_failed() {
    let mut driver = driver();
    let before = driver.read(clock::now()).unwrap();
    driver.receivers[0].socket = RxSocket::broken();
    thread::sleep(Duration::from_millis(2));
    assert_eq!(driver.read(clock::now()).unwrap(), before);
    assert_eq!(driver.read_errors, 1);
}

#[test]
fn a_socket_that_fails_again_and_again_ends_the_thread_although_another_one_works() {
    let mut driver = driver();
    driver.receivers.push(Receiver::new(RxSocket::broken(), false));
    let failed = (0..2 * FATAL_READ_ERRORS).find(|_| driver.read(clock::now()).is_err());
    assert_eq!(failed, Some(FATAL_READ_ERRORS - 1));
}

#[test]
fn a_session_on_an_interface_that_does_not_exist_keeps_its_timers_and_counts_its_errors() {
    let mut driver = driver();
    driver.add_session(clock::now(), config(9, "nosuch0"));
    driver.turn().unwrap();
    assert!(driver.engine.poll_deadline().is_some());
    let errors: u64 = driver.engine.stats().iter().map(|(_, counters)| counters.write_errors).sum();
    assert_eq!(errors, 1);
    let told = driver.mailbox.drain().warnings;
    assert_eq!(told.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["ENODEV"]);
    assert!(told[0].message.contains("127.0.0.1:9"), "{}", told[0].message);
}

#[test]
fn a_packet_below_the_least_ttl_is_counted_and_dropped() {
    for (min_ttl, ttl, refused) in [(0, 1, 0), (255, 254, 1), (255, 255, 0), (1, 1, 0)] {
        let policy = Policy { min_ttl, ..options().policy };
        let options = DriverOptions { policy, ..options() };
        let mut driver = Driver::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap();
        let peer = peer();
        peer.set_ttl(ttl).unwrap();
        peer.send_to(&[0; 40], driver.local_addr().unwrap()).unwrap();
        driver.turn().unwrap();
        let invalid = driver.engine.stats().iter().fold([0; 2], |[ttl, version], (_, counters)| {
            let of = |why: DropReason| counters.rx_invalid[why as usize];
            [ttl + of(DropReason::Ttl), version + of(DropReason::Version)]
        });
        assert_eq!(invalid, [refused, 1 - refused], "{ttl} where the least is {min_ttl}");
    }
}

#[test]
fn a_down_that_is_read_by_a_turn_which_was_stopped_tells_of_that_stop() {
    const STOPPED_US: u64 = 50_000;
    let mut driver = driver();
    let peer = peer();
    driver.add_session(clock::now(), config(peer.local_addr().unwrap().port(), "lo"));
    driver.turn().unwrap();
    for state in [State::Init, State::Down] {
        let peer_discr = driver.engine.session(SessionId(1)).unwrap().0.local_discr();
        let packet = ControlPacket {
            state,
            detect_mult: 3,
            local_discr: 7,
            peer_discr,
            desired_min_tx_us: 50_000,
            required_min_rx_us: 50_000,
            passive: false,
            client_version: [0; 4],
        };
        peer.send_to(&packet.marshal(), driver.local_addr().unwrap()).unwrap();
        driver.planned = Some(clock::now().minus(STOPPED_US));
        driver.read(clock::now()).unwrap();
        // A Down within the detection time after coming Up is left over from the handshake.
        thread::sleep(Duration::from_millis(150));
    }
    let events: Vec<Event> = std::iter::from_fn(|| driver.engine.poll_event()).collect();
    let mut stalls = events.iter().filter_map(|event| match event {
        Event::Transition(change) if change.from == State::Up => Some(change.local_stall_us),
        _ => None,
    });
    assert!(stalls.next_back().is_some_and(|us| us >= STOPPED_US), "{events:?}");
}

#[test]
fn packets_are_sent_with_ttl_255() {
    let mut driver = driver();
    let (receiver, _) = socket::bind::<Liveness>(SocketAddr::new(LOCALHOST.into(), 0), 1).unwrap();
    receiver.tell_ttl().unwrap();
    driver.add_session(clock::now(), config(receiver.local_addr().unwrap().port(), "lo"));
    driver.turn().unwrap();
    let mut receiver = receiver;
    assert_eq!(receiver.receive().unwrap(), 1);
    assert_eq!(receiver.received().next().unwrap().ttl, Some(255));
}

#[test]
fn a_packet_arrives_when_the_kernel_receives_it_not_when_it_is_read() {
    let mut driver = driver();
    let peer = peer();
    // The kernel begins to stamp a little after it was asked to.
    let stamped = (0..50).any(|_| {
        peer.send_to(&[0; 40], driver.local_addr().unwrap()).unwrap();
        let sent = clock::now();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(driver.receivers[0].socket.receive().unwrap(), 1);
        driver.read_batch(0, clock::reading()) < sent.plus(20_000)
    });
    assert!(stamped);
}

#[test]
fn a_wall_clock_that_is_stepped_by_an_hour_moves_no_arrival_out_of_the_time_it_waited() {
    let mut driver = driver();
    let peer = peer();
    driver.add_session(clock::now(), config(peer.local_addr().unwrap().port(), "lo"));
    driver.turn().unwrap();
    let mut bytes = [0; PACKET_LEN];
    peer.recv(&mut bytes).unwrap();
    let packet = ControlPacket::unmarshal(&bytes).unwrap();
    let answer = ControlPacket { state: State::Up, local_discr: 7, peer_discr: packet.local_discr, ..packet }.marshal();
    // What waits in the socket was stamped before the step; the clock goes back to where it was between two steps.
    for step_us in [3_600_000_000, -3_600_000_000, 0, 2_000, -2_000] {
        for step_us in [step_us, 0] {
            let sent = clock::now();
            peer.send_to(&answer, driver.local_addr().unwrap()).unwrap();
            thread::sleep(Duration::from_millis(2));
            assert_eq!(driver.receivers[0].socket.receive().unwrap(), 1);
            let reading = clock::reading();
            driver.read_batch(0, ClockReading { wall_us: reading.wall_us + step_us, ..reading });
            driver.arrivals.drained();
            let (session, _) = driver.engine.session(SessionId(1)).unwrap();
            let heard = session.last_rx().expect("a valid packet");
            assert!(heard.plus(1) >= sent && heard <= reading.monotonic, "{step_us}: {sent:?} {heard:?} {reading:?}");
            assert!(session.detect_deadline() > Some(reading.monotonic));
        }
    }
}

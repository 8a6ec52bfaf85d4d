//! Tests of the thread with a filter of repeats in the kernel.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::thread;

use nix::unistd::geteuid;

use super::*;
use crate::driver::command_queue::SessionConfig;
use crate::driver::snapshot::{SnapshotPage, SnapshotRequest};
use crate::driver::tests::{config, mailbox, options, peer};
use crate::protocol::liveness::Liveness;
use crate::protocol::liveness::packet::{ControlPacket, PACKET_LEN};
use crate::protocol::timers::Timers;

const ID: SessionId = SessionId(1);

/// Of 50 ms: no test takes so long.
const MULT: u8 = 255;

/// A thread whose session is Up, and the peer's next packet, which is a repeat; `None` without the privilege to have a filter.
struct Rig {
    driver: Driver<Liveness>,
    peer: StdSocket,
    packet: [u8; PACKET_LEN],
}

impl Rig {
    fn up() -> Option<Self> {
        let mailbox = mailbox();
        let options = DriverOptions { filter_repeats: true, ..options() };
        let mut driver = Driver::new(options, Arc::new(CommandQueue::new().unwrap()), Arc::clone(&mailbox)).unwrap();
        if driver.repeat_filter.is_none() {
            let told = mailbox.drain().warnings;
            assert_eq!(told.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["ERR_FILTER_REFUSED"]);
            assert!(!geteuid().is_root(), "root may have a filter: {}", told[0].message);
            return None;
        }
        let peer = peer();
        let config = config(peer.local_addr().unwrap().port(), "lo");
        driver.add_session(
            clock::now(),
            SessionConfig { timers: Timers { detect_mult: MULT, ..config.timers }, ..config },
        );
        driver.turn().unwrap();
        let mut bytes = [0; PACKET_LEN];
        peer.recv(&mut bytes).unwrap();
        let theirs = ControlPacket::unmarshal(&bytes).unwrap();
        let packet = ControlPacket { state: State::Up, local_discr: 7, peer_discr: theirs.local_discr, ..theirs };
        let mut rig = Self { driver, peer, packet: packet.marshal() };
        rig.send(1);
        rig.driver.turn().unwrap();
        assert_eq!(rig.state(), State::Up);
        Some(rig)
    }

    fn to(&self) -> SocketAddr {
        self.driver.local_addr().unwrap()
    }

    fn send(&self, count: usize) {
        for _ in 0..count {
            self.peer.send_to(&self.packet, self.to()).unwrap();
        }
    }

    fn state(&self) -> State {
        self.driver.engine.session(ID).unwrap().0.state()
    }

    fn unread(&mut self) -> usize {
        self.driver.receivers[0].socket.receive().unwrap()
    }

    fn received(&self) -> u64 {
        self.driver.engine.stats().iter().map(|(_, counters)| counters.rx).sum()
    }
}

#[test]
fn repeats_are_neither_read_nor_dropped_and_a_snapshot_has_them() {
    let Some(mut rig) = Rig::up() else { return };
    let before = clock::now();
    rig.send(10);
    assert_eq!(rig.unread(), 0);
    let page = SnapshotPage::of(&mut rig.driver.engine, &SnapshotRequest::These(vec![ID]));
    assert!(page.sessions[0].detect_deadline.unwrap().plus(1) >= before.plus(u64::from(MULT) * 50_000));
    assert_eq!(rig.received(), 11);
    rig.send(10);
    assert_eq!(SnapshotPage::of(&mut rig.driver.engine, &SnapshotRequest::From(0)).sessions.len(), 1);
    assert_eq!((rig.received(), rig.driver.drops()), (21, 0));
    let stats = rig.driver.stats();
    assert_eq!((stats.repeats, stats.socket_drops), (20, 0));
}

#[test]
fn a_flood_of_other_packets_ends_the_filtering_of_repeats_until_it_is_over() {
    let Some(mut rig) = Rig::up() else { return };
    let stranger = StdSocket::bind((Ipv4Addr::new(127, 0, 0, 9), 0)).unwrap();
    while rig.driver.drops() == 0 {
        stranger.send_to(&[0; PACKET_LEN], rig.to()).unwrap();
    }
    while !rig.driver.socket_filter.is_attached() {
        rig.driver.turn().unwrap();
    }
    while rig.unread() > 0 {}
    rig.send(1);
    assert_eq!(rig.unread(), 1, "the program that drops the flood hands over what a peer sends");
    while rig.driver.socket_filter.is_attached() {
        thread::sleep(Duration::from_millis(20));
        rig.send(1);
        rig.driver.turn().unwrap();
    }
    rig.send(1);
    assert_eq!(rig.unread(), 0, "the filter is back");
    assert_eq!(rig.state(), State::Up);
    assert!(rig.driver.drops() > 0, "the flood is still counted");
}

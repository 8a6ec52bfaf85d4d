//! The filter of repeats as a simulated kernel has it: what `net::repeat_filter` has the real one do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use crate::engine::Path;
use crate::engine::repeats::{Place, Repeats, SharedPlaces, discr_in, image_of, loaded, places_of, words_of};
use crate::protocol::time::Time;

/// A host's filter. What it takes in is written down here, too, so that the engine can be asked whether it knows.
#[derive(Default)]
pub(super) struct RepeatFilter {
    places: Option<Arc<Vec<Place>>>,
    packet_len: usize,
    heard: FxHashMap<Path, Time>,
}

struct Shared(Arc<Vec<Place>>);

impl SharedPlaces for Shared {
    fn places(&self) -> &[Place] {
        &self.0
    }
}

impl RepeatFilter {
    /// A filter for so many sessions, whose packets have so many bytes; and the engine's side of it.
    pub(super) fn new(sessions: usize, packet_len: usize) -> (Self, Repeats) {
        let places = std::iter::repeat_with(Place::default).take(Repeats::places_for(sessions)).collect();
        let places = Arc::new(places);
        let shared = Shared(Arc::clone(&places));
        (Self { places: Some(places), packet_len, heard: FxHashMap::default() }, Repeats::new(Box::new(shared), 0))
    }

    /// Takes a datagram in that arrives now, if it is a repeat.
    pub(super) fn takes(&mut self, path: Path, bytes: &[u8], now: Time) -> bool {
        if bytes.len() != self.packet_len {
            return false;
        }
        let Some(place) = self.places.as_ref().and_then(|places| place_of(places, path, bytes)) else { return false };
        let now_ns = now.micros() * 1_000;
        let gap_ns = now_ns.saturating_sub(place.heard_ns.swap(now_ns, Ordering::Relaxed));
        place.worst_gap_ns.fetch_max(gap_ns, Ordering::Relaxed);
        place.count.fetch_add(1, Ordering::Relaxed);
        self.heard.insert(path, now);
        true
    }

    /// When the last repeat of a path was taken in.
    pub(super) fn heard(&self, path: &Path) -> Option<Time> {
        self.heard.get(path).copied()
    }
}

/// The place that tells the datagram to be a repeat.
fn place_of<'a>(places: &'a [Place], path: Path, bytes: &[u8]) -> Option<&'a Place> {
    let image = image_of(bytes)?;
    let mut its = places_of(discr_in(&image), places.len()).map(|number| &places[number as usize]);
    its.find(|place| {
        place.is_armed.load(Ordering::Relaxed) == 1
            && loaded(&place.image)[..bytes.len() / 8] == image[..bytes.len() / 8]
            && (place.source(), place.local()) == (words_of(path.peer), words_of(path.local))
            && place.ifindex.load(Ordering::Relaxed) == path.link.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::LinkId;
    use crate::engine::{Datagram, Engine, SessionId, SessionSpec};
    use crate::protocol::Protocol;
    use crate::protocol::bfd::Bfd;
    use crate::protocol::bfd::authentication::key::{Key, Kind, Variant};
    use crate::protocol::bfd::options::BfdOptions;
    use crate::protocol::bfd::packet::{BfdPacket, PACKET_LEN};
    use crate::protocol::bfd::rules::RFC5880;
    use crate::protocol::diagnostic::Diagnostic;
    use crate::protocol::policy::Policy;
    use crate::protocol::state::State;
    use crate::protocol::timers::Timers;

    const ID: SessionId = SessionId(1);
    const LINK: u32 = 4;
    const MS: u64 = 1_000;

    /// A session of 50 ms × 3 that is Up, and the filter before it.
    struct Rig {
        engine: Engine<Bfd>,
        filter: RepeatFilter,
        now: Time,
        packet: [u8; PACKET_LEN],
    }

    fn path() -> Path {
        Path { link: LinkId(LINK), local: [10, 0, 0, 1].into(), peer: [10, 0, 0, 2].into() }
    }

    impl Rig {
        fn up() -> Self {
            let policy = Policy {
                rules: &RFC5880,
                min_tx_floor_us: 10_000,
                max_tx_ceil_us: 1_000_000,
                backoff_max_us: 1_000_000,
                require_discriminator: false,
                min_ttl: 0,
                identity: None,
            };
            let (filter, repeats) = RepeatFilter::new(8, Bfd::PLAIN_LEN);
            let mut engine = Engine::of_protocol(policy, 8, 1).with_repeats(repeats);
            let now = Time::from_micros(1_000_000);
            let timers = Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 };
            let spec = SessionSpec { id: ID, path: path(), peer_port: Bfd::PORT, timers, min_ttl: None };
            let discr = engine.draw_discriminator();
            engine.add_session(now, spec, discr).unwrap();
            let mut rig = Self { engine, filter, now, packet: [0; PACKET_LEN] };
            for state in [State::Down, State::Up] {
                rig.packet = packet(state, discr);
                rig.hand_over();
            }
            // The Poll that begins with Up is answered.
            let plain = rig.packet;
            rig.packet[1] |= crate::protocol::bfd::packet::field::FLAG_FINAL;
            rig.hand_over();
            rig.packet = plain;
            rig.wait(10 * MS);
            rig.hand_over();
            assert_eq!(rig.state(), State::Up);
            rig
        }

        fn hand_over(&mut self) {
            self.hand_over_bytes(&self.packet.clone());
        }

        fn hand_over_bytes(&mut self, bytes: &[u8]) {
            let datagram = Datagram { arrival: self.now, path: path(), ttl: None, min_ttl: 0, bytes };
            self.engine.handle_repeatable(self.now, datagram, LINK);
        }

        fn wait(&mut self, us: u64) {
            self.now = self.now.plus(us);
        }

        /// Whether the packet is a repeat.
        fn repeats(&mut self) -> bool {
            self.filter.takes(path(), &self.packet, self.now)
        }

        fn run(&mut self) {
            self.engine.handle_timeout(self.now, self.now);
        }

        fn state(&self) -> State {
            self.engine.session(ID).expect("the session").0.state()
        }
    }

    fn packet(state: State, discr: u32) -> [u8; PACKET_LEN] {
        let header = crate::protocol::Header {
            state,
            detect_mult: 3,
            local_discr: 9,
            peer_discr: discr,
            desired_min_tx_us: 50_000,
            required_min_rx_us: 50_000,
        };
        let (poll, is_final, demand) = (false, false, false);
        BfdPacket {
            header,
            diagnostic: Diagnostic::None,
            poll,
            is_final,
            demand,
            required_min_echo_rx_us: 0,
            authenticated: None,
        }
        .marshal()
    }

    #[test]
    fn repeats_keep_a_session_up_and_their_end_takes_it_down_a_detection_time_later() {
        let mut rig = Rig::up();
        for _ in 0..100 {
            rig.wait(50 * MS);
            assert!(rig.repeats());
            rig.run();
            assert_eq!(rig.state(), State::Up);
        }
        rig.wait(150 * MS - 1);
        rig.run();
        assert_eq!(rig.state(), State::Up);
        rig.wait(1);
        rig.run();
        assert_eq!(rig.state(), State::Down);
        assert!(!rig.repeats(), "a session that is Down is handed every packet");
        let (_, counters) = rig.engine.stats().iter().next().expect("an endpoint");
        assert_eq!(counters.rx, 4 + 100);
    }

    #[test]
    fn a_packet_of_which_any_bit_differs_is_handed_over() {
        let mut rig = Rig::up();
        for bit in 0..8 * PACKET_LEN {
            rig.packet[bit / 8] ^= 1 << (bit % 8);
            assert!(!rig.repeats(), "bit {bit}");
            rig.packet[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(!rig.filter.takes(path(), &rig.packet[..20], rig.now), "cut off where it has zeros only");
        assert!(!rig.filter.takes(path(), &[&rig.packet[..], &[0; 4]].concat(), rig.now), "with padding");
        let other = |change: fn(&mut Path)| {
            let mut path = path();
            change(&mut path);
            path
        };
        assert!(!rig.filter.takes(other(|path| path.link = LinkId(5)), &rig.packet, rig.now));
        assert!(!rig.filter.takes(other(|path| path.local = [10, 0, 0, 9].into()), &rig.packet, rig.now));
        assert!(!rig.filter.takes(other(|path| path.peer = [10, 0, 0, 9].into()), &rig.packet, rig.now));
        assert!(rig.repeats());
    }

    #[test]
    fn after_a_datagram_with_padding_a_packet_without_is_handed_over() {
        let mut rig = Rig::up();
        let plain = rig.packet;
        rig.hand_over_bytes(&[&plain[..], &[0; 8]].concat());
        assert!(!rig.repeats());
        rig.hand_over();
        assert!(rig.repeats());
    }

    #[test]
    fn a_session_that_was_changed_or_removed_is_handed_the_next_packet() {
        let key = || Key::new(1, Kind::KeyedSha1, Variant::Rfc, b"sesame").expect("a short key");
        type Change = fn(&mut Engine<Bfd>, Time, Key);
        let changes: [(&str, Change); 5] = [
            ("least TTL", |engine, _, _| assert!(engine.update_min_ttl(ID, Some(255)))),
            ("keys", |engine, now, key| {
                engine.update_options(now, ID, BfdOptions { keys: [key].into(), ..BfdOptions::default() });
            }),
            ("timers", |engine, now, _| {
                let timers = Timers { tx_min_us: 50_000, rx_min_us: 10_000, detect_mult: 3 };
                engine.update_session(now, ID, timers, Bfd::PORT);
            }),
            ("AdminDown", |engine, now, _| engine.admin_down(now, ID)),
            ("removed", |engine, _, _| assert_eq!(engine.remove_session(ID), None)),
        ];
        for (name, change) in changes {
            let mut rig = Rig::up();
            assert!(rig.repeats());
            change(&mut rig.engine, rig.now, key());
            assert!(!rig.repeats(), "{name}");
        }
    }

    #[test]
    fn a_packet_that_waited_in_the_socket_does_not_hide_a_later_repeat() {
        let mut rig = Rig::up();
        let earlier = rig.now;
        rig.wait(100 * MS);
        assert!(rig.repeats());
        // It waited in the socket.
        let (later, now) = (rig.now, earlier.plus(50 * MS));
        rig.now = now;
        rig.hand_over();
        rig.now = later.plus(149 * MS);
        rig.run();
        assert_eq!(rig.state(), State::Up);
    }

    #[test]
    fn a_session_whose_detection_time_was_extended_is_handed_its_next_packet() {
        let mut rig = Rig::up();
        let fall_silent = |rig: &mut Rig| {
            rig.wait(140 * MS);
            rig.engine.note_socket_drops(rig.now);
            rig.wait(11 * MS);
            rig.run();
        };
        for _ in 0..3 {
            fall_silent(&mut rig);
            assert_eq!(rig.state(), State::Up, "extended");
            assert!(!rig.repeats());
            rig.hand_over();
            assert!(rig.repeats());
        }
        fall_silent(&mut rig);
        fall_silent(&mut rig);
        assert_eq!(rig.state(), State::Down);
    }

    #[test]
    fn where_others_have_all_places_of_a_session_its_packets_are_handed_over() {
        let mut rig = Rig::up();
        rig.engine.admin_down(rig.now, ID);
        rig.engine.admin_up(rig.now, ID);
        for place in rig.filter.places.as_ref().expect("a filter").iter() {
            place.image[0].store(0, Ordering::Relaxed);
            place.is_armed.store(1, Ordering::Relaxed);
        }
        let discr = rig.engine.session(ID).expect("the session").0.local_discr();
        for state in [State::Down, State::Up, State::Up] {
            rig.packet = packet(state, discr);
            rig.hand_over();
        }
        assert_eq!(rig.state(), State::Up);
        assert!(!rig.repeats());
        rig.wait(150 * MS);
        rig.run();
        assert_eq!(rig.state(), State::Down);
    }
}

//! Sessions with keys (RFC 5880 §6.7, §6.8.6).

use route_liveness::protocol::bfd::authentication::Authentication;
use route_liveness::protocol::bfd::authentication::key::{Key, Kind, Variant};
use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::state::State;

use crate::peer::{Bench, ID, usual_path};

fn key(id: u8, kind: Kind) -> Key {
    Key::new(id, kind, Variant::Rfc, b"sesame").unwrap()
}

fn with_keys(keys: impl IntoIterator<Item = Key>) -> BfdOptions {
    BfdOptions { keys: keys.into_iter().collect(), ..BfdOptions::default() }
}

fn hear_signed(bench: &mut Bench, peer: &mut Authentication, state: State) {
    let signed = peer.sign(bench.packet(state).marshal(), bench.now);
    bench.hear_bytes(usual_path(), signed.as_ref());
}

#[test]
fn a_session_with_a_key_comes_up_with_packets_that_the_key_confirms_only() {
    for kind in Kind::ALL {
        let mut bench = Bench::new(with_keys([key(7, kind)]));
        bench.hear(bench.packet(State::Init));
        assert_eq!((bench.state(), bench.dropped(DropReason::MissingAuthentication)), (State::Down, 1), "{kind:?}");
        let mut stranger = Authentication::new([Key::new(7, kind, Variant::Rfc, b"x").unwrap()].into(), 1).unwrap();
        hear_signed(&mut bench, &mut stranger, State::Init);
        assert_eq!((bench.state(), bench.dropped(DropReason::Authentication)), (State::Down, 1), "{kind:?}");
        let mut peer = Authentication::new([key(7, kind)].into(), 1).unwrap();
        hear_signed(&mut bench, &mut peer, State::Init);
        assert_eq!(bench.state(), State::Up, "{kind:?}");
        let sent = bench.run(1);
        let bytes = sent[0].1.authenticated.expect("our packets have a section");
        assert!(peer.verify(&bytes, 3, bench.now, 150_000), "{kind:?}");
    }
}

#[test]
fn a_session_without_a_key_drops_packets_with_an_authentication_section() {
    let mut bench = Bench::new(BfdOptions::default());
    let mut peer = Authentication::new([key(7, Kind::KeyedSha1)].into(), 1).unwrap();
    hear_signed(&mut bench, &mut peer, State::Init);
    assert_eq!((bench.state(), bench.dropped(DropReason::UnexpectedAuthentication)), (State::Down, 1));
}

#[test]
fn keys_are_rolled_over_while_the_session_is_up() {
    let (old, new) = (key(1, Kind::MeticulousKeyedMd5), key(2, Kind::MeticulousKeyedSha1));
    let mut bench = Bench::new(with_keys([old.clone()]));
    let mut peer = Authentication::new([old.clone()].into(), 1).unwrap();
    hear_signed(&mut bench, &mut peer, State::Init);
    assert!(bench.engine.update_options(bench.now, ID, with_keys([new.clone(), old.clone()])));
    assert_eq!(bench.session().specifics().key_id(), Some(2));
    hear_signed(&mut bench, &mut peer, State::Up);
    peer.set_keys([new, old].into());
    hear_signed(&mut bench, &mut peer, State::Up);
    assert_eq!((bench.state(), bench.dropped(DropReason::Authentication)), (State::Up, 0));
}

#[test]
fn a_forged_down_does_not_take_a_session_down() {
    let mut bench = Bench::new(with_keys([key(7, Kind::MeticulousKeyedSha1)]));
    let mut peer = Authentication::new([key(7, Kind::MeticulousKeyedSha1)].into(), 1).unwrap();
    let down = peer.sign(bench.packet(State::Down).marshal(), bench.now);
    bench.hear_bytes(usual_path(), down.as_ref());
    hear_signed(&mut bench, &mut peer, State::Init);
    assert_eq!(bench.state(), State::Up);
    bench.hear_bytes(usual_path(), down.as_ref());
    assert_eq!((bench.state(), bench.dropped(DropReason::Authentication)), (State::Up, 1), "played back");
}

#[test]
fn no_output_of_a_session_contains_a_secret() {
    let bench = Bench::new(with_keys([key(7, Kind::KeyedSha1)]));
    let text = format!("{:?}", bench.session());
    assert!(text.contains("Key { id: 7, .. }") && !text.contains("sesame") && !text.contains("115, 101"), "{text}");
}

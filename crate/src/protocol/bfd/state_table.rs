//! The state table of RFC 5880 §6.8.6: one pure function, one row a case, each with its clause.

use crate::protocol::state::State;
use crate::protocol::transition::{IgnoreReason, Names, PeerDiscriminator, Situation, Verdict};

/// What a session does with a packet.
#[inline]
#[must_use]
pub fn receive(situation: &Situation) -> Verdict {
    let Situation { state, received, names, .. } = *situation;
    // "If bfd.SessionState is AdminDown, discard the packet."
    if state == State::AdminDown {
        return Verdict::Ignore(IgnoreReason::AdminDown);
    }
    // "If the Your Discriminator field is nonzero, it MUST be used to select the session […] If no session is found, the packet
    // MUST be discarded."
    if names == Names::Another {
        return Verdict::Ignore(IgnoreReason::ForeignDiscriminator);
    }
    // "Set bfd.RemoteDiscr to the value of My Discriminator."
    Verdict::Accept { to: next_state(state, received), peer_discr: PeerDiscriminator::Learn }
}

const fn next_state(state: State, received: State) -> State {
    match (state, received) {
        (State::AdminDown, _) => State::AdminDown,
        // "If received state is AdminDown: if bfd.SessionState is not Down […] set bfd.SessionState to Down."
        (_, State::AdminDown) => State::Down,
        // "If bfd.SessionState is Down: if received State is Down, set bfd.SessionState to Init; else if received State is Init,
        // set bfd.SessionState to Up." A received Up changes nothing.
        (State::Down, State::Down) => State::Init,
        (State::Down, State::Init) => State::Up,
        (State::Down, State::Up) => State::Down,
        // "Else if bfd.SessionState is Init: if received State is Init or Up, set bfd.SessionState to Up."
        (State::Init, State::Down) => State::Init,
        (State::Init, State::Init | State::Up) => State::Up,
        // "Else (bfd.SessionState is Up): if received State is Down […] set bfd.SessionState to Down."
        (State::Up, State::Down) => State::Down,
        (State::Up, State::Init | State::Up) => State::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Names::{Another, Nobody, Us};
    use State::{AdminDown, Down, Init, Up};

    fn situation(state: State, received: State, names: Names) -> Situation {
        Situation {
            state,
            received,
            names,
            knows_peer: true,
            requires_discriminator: false,
            interval_is_followed: true,
            is_newly_up: false,
        }
    }

    #[test]
    fn every_state_and_received_state_leads_to_its_row_of_rfc_5880() {
        #[rustfmt::skip]
        let rows = [
            // state, received, next
            (Down, AdminDown, Down),
            (Down, Down,      Init),
            (Down, Init,      Up),
            (Down, Up,        Down),
            (Init, AdminDown, Down),
            (Init, Down,      Init),
            (Init, Init,      Up),
            (Init, Up,        Up),
            (Up,   AdminDown, Down),
            (Up,   Down,      Down),
            (Up,   Init,      Up),
            (Up,   Up,        Up),
        ];
        for (state, received, to) in rows {
            for names in [Us, Nobody] {
                let expected = Verdict::Accept { to, peer_discr: PeerDiscriminator::Learn };
                assert_eq!(receive(&situation(state, received, names)), expected, "{state:?} hears {received:?}");
            }
        }
    }

    #[test]
    fn a_down_is_accepted_in_up_at_any_time_and_whoever_it_names_if_it_is_not_another() {
        let newly_up = Situation { is_newly_up: true, requires_discriminator: true, ..situation(Up, Down, Nobody) };
        assert_eq!(receive(&newly_up), Verdict::Accept { to: Down, peer_discr: PeerDiscriminator::Learn });
        let slow = Situation { interval_is_followed: false, ..situation(Up, Up, Us) };
        assert_eq!(receive(&slow), Verdict::Accept { to: Up, peer_discr: PeerDiscriminator::Learn });
    }

    #[test]
    fn admin_down_discards_every_packet_and_no_state_accepts_the_discriminator_of_another() {
        for received in State::ALL {
            for names in [Us, Nobody, Another] {
                let verdict = receive(&situation(AdminDown, received, names));
                assert_eq!(verdict, Verdict::Ignore(IgnoreReason::AdminDown));
            }
            for state in [Down, Init, Up] {
                let verdict = receive(&situation(state, received, Another));
                assert_eq!(verdict, Verdict::Ignore(IgnoreReason::ForeignDiscriminator));
            }
        }
    }
}

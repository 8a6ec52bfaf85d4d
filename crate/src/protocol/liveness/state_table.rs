//! The state table of the liveness protocol: one pure function, one row a case, each with its clause. "The reference" is
//! the protocol's first implementation; RFC 5880 is what it was made after.

use crate::protocol::rules::Rules;
use crate::protocol::state::State;
use crate::protocol::transition::{IgnoreReason, Names, PeerDiscriminator, Situation, Verdict};

/// What a session does with a packet.
#[inline]
#[must_use]
pub fn receive(rules: &Rules, situation: &Situation) -> Verdict {
    let Situation { state, mut received, mut names, knows_peer, .. } = *situation;
    match (state, names) {
        // RFC 5880 §6.8.6: in AdminDown a packet is discarded.
        (State::AdminDown, _) => return Verdict::Ignore(IgnoreReason::AdminDown),
        (_, Names::Us) => {}
        // Configured: in Up, a packet that names nobody proves nothing.
        (State::Up, Names::Nobody) if situation.requires_discriminator => {
            return Verdict::Ignore(IgnoreReason::ForeignDiscriminator);
        }
        (_, Names::Nobody) => {}
        // A peer that remembers our predecessor is heard again (rule `accepts_foreign_discriminator_when_down`).
        (State::Down, Names::Another)
            if rules.accepts_foreign_discriminator_when_down && !knows_peer && received != State::AdminDown =>
        {
            (received, names) = (State::Down, Names::Nobody);
        }
        // RFC 5880 §6.8.6: no session has this discriminator, so the packet is discarded.
        (_, Names::Another) => return Verdict::Ignore(IgnoreReason::ForeignDiscriminator),
    }
    if !situation.interval_is_followed {
        return Verdict::Ignore(IgnoreReason::Interval);
    }
    // The reference: a Down soon after coming Up is left over from the handshake.
    if state == State::Up && received == State::Down && situation.is_newly_up {
        return Verdict::Ignore(IgnoreReason::StaleDown);
    }
    let mine = names == Names::Us;
    let to = next_state(rules, state, received, mine);
    let peer_discr = if received == State::AdminDown {
        // A peer that comes back from AdminDown may be another (rule `learns_from_every_packet`).
        if rules.learns_from_every_packet { PeerDiscriminator::Forget } else { PeerDiscriminator::Keep }
    } else if learns(rules, state, to, mine, knows_peer) {
        PeerDiscriminator::Learn
    } else {
        PeerDiscriminator::Keep
    };
    Verdict::Accept { to, peer_discr }
}

/// The next state. `mine` says that the packet names this session.
const fn next_state(rules: &Rules, state: State, received: State, mine: bool) -> State {
    match (state, received) {
        // RFC 5880 §6.8.6: discarded.
        (State::AdminDown, _) => State::AdminDown,
        // RFC 5880 §6.8.6: "If received state is AdminDown", Init and Up go Down. Down stays Down.
        (_, State::AdminDown) => State::Down,
        // RFC 5880 §6.8.6: Down hears Down and goes Init.
        (State::Down, State::Down) => State::Init,
        // The reference: Down hears Init or Up and goes Up if the packet names us, else Init. (RFC 5880 §6.8.6 lets Down ignore Up.)
        (State::Down, _) => {
            if mine {
                State::Up
            } else {
                State::Init
            }
        }
        // RFC 5880 §6.2: Init stays in Init; the reference goes Down.
        (State::Init, State::Down) => {
            if rules.stays_init_on_down {
                State::Init
            } else {
                State::Down
            }
        }
        // RFC 5880 §6.8.6: Init hears Init or Up and goes Up; the reference asks that the packet names us.
        (State::Init, _) => {
            if mine {
                State::Up
            } else {
                State::Init
            }
        }
        // RFC 5880 §6.8.6: Up hears Down and goes Down.
        (State::Up, State::Down) => State::Down,
        // RFC 5880 §6.8.6: Up stays Up.
        (State::Up, _) => State::Up,
    }
}

/// Whether the packet's discriminator is the peer's from now on, for a packet that does not say AdminDown.
const fn learns(rules: &Rules, state: State, to: State, mine: bool, knows_peer: bool) -> bool {
    if rules.learns_from_every_packet {
        // RFC 5880 §6.8.6 learns from every packet. In Up, only from one that proves to know us; but a Down that takes us
        // Down comes from the peer's new life.
        !matches!(to, State::Up) || mine
    } else {
        // The reference: while none is known, and in Up where it differs.
        !matches!(to, State::Down) && (!knows_peer || matches!(state, State::Up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rules::{REFERENCE, ROBUST};

    use IgnoreReason::{AdminDown as Disabled, ForeignDiscriminator as Foreign, Interval, StaleDown};
    use Names::{Another, Nobody, Us};
    use PeerDiscriminator::{Forget, Keep, Learn};
    use State::{AdminDown, Down, Init, Up};

    /// A peer that is known, in a session that is Up for long.
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

    fn accept(to: State, peer_discr: PeerDiscriminator) -> Verdict {
        Verdict::Accept { to, peer_discr }
    }

    #[test]
    fn every_state_packet_state_and_naming_leads_to_its_row_under_both_rule_sets() {
        #[rustfmt::skip]
        let rows = [
            // state, received, names; under the reference's rules; under the robust ones
            (Down, AdminDown, Us,     accept(Down, Keep),  accept(Down, Forget)),
            (Down, AdminDown, Nobody, accept(Down, Keep),  accept(Down, Forget)),
            (Down, Down,      Us,     accept(Init, Keep),  accept(Init, Learn)),
            (Down, Down,      Nobody, accept(Init, Keep),  accept(Init, Learn)),
            (Down, Init,      Us,     accept(Up, Keep),    accept(Up, Learn)),
            (Down, Init,      Nobody, accept(Init, Keep),  accept(Init, Learn)),
            (Down, Up,        Us,     accept(Up, Keep),    accept(Up, Learn)),
            (Down, Up,        Nobody, accept(Init, Keep),  accept(Init, Learn)),
            (Init, AdminDown, Us,     accept(Down, Keep),  accept(Down, Forget)),
            (Init, AdminDown, Nobody, accept(Down, Keep),  accept(Down, Forget)),
            (Init, Down,      Us,     accept(Down, Keep),  accept(Init, Learn)),
            (Init, Down,      Nobody, accept(Down, Keep),  accept(Init, Learn)),
            (Init, Init,      Us,     accept(Up, Keep),    accept(Up, Learn)),
            (Init, Init,      Nobody, accept(Init, Keep),  accept(Init, Learn)),
            (Init, Up,        Us,     accept(Up, Keep),    accept(Up, Learn)),
            (Init, Up,        Nobody, accept(Init, Keep),  accept(Init, Learn)),
            (Up,   AdminDown, Us,     accept(Down, Keep),  accept(Down, Forget)),
            (Up,   AdminDown, Nobody, accept(Down, Keep),  accept(Down, Forget)),
            (Up,   Down,      Us,     accept(Down, Keep),  accept(Down, Learn)),
            (Up,   Down,      Nobody, accept(Down, Keep),  accept(Down, Learn)),
            (Up,   Init,      Us,     accept(Up, Learn),   accept(Up, Learn)),
            (Up,   Init,      Nobody, accept(Up, Learn),   accept(Up, Keep)),
            (Up,   Up,        Us,     accept(Up, Learn),   accept(Up, Learn)),
            (Up,   Up,        Nobody, accept(Up, Learn),   accept(Up, Keep)),
        ];
        for (state, received, names, reference, robust) in rows {
            let situation = situation(state, received, names);
            assert_eq!(receive(&REFERENCE, &situation), reference, "reference: {situation:?}");
            assert_eq!(receive(&ROBUST, &situation), robust, "robust: {situation:?}");
        }
    }

    #[test]
    fn admin_down_ignores_every_packet() {
        for received in State::ALL {
            for names in [Us, Nobody, Another] {
                let situation = situation(AdminDown, received, names);
                for rules in [&REFERENCE, &ROBUST] {
                    assert_eq!(receive(rules, &situation), Verdict::Ignore(Disabled), "{situation:?}");
                }
            }
        }
    }

    #[test]
    fn a_packet_that_names_another_is_ignored_unless_the_session_is_down_and_knows_no_peer() {
        for state in [Down, Init, Up] {
            for received in State::ALL {
                for knows_peer in [false, true] {
                    let situation = Situation { knows_peer, ..situation(state, received, Another) };
                    assert_eq!(receive(&REFERENCE, &situation), Verdict::Ignore(Foreign), "reference: {situation:?}");
                    let is_heard = state == Down && received != AdminDown && !knows_peer;
                    let expected = if is_heard { accept(Init, Learn) } else { Verdict::Ignore(Foreign) };
                    assert_eq!(receive(&ROBUST, &situation), expected, "robust: {situation:?}");
                }
            }
        }
    }

    #[test]
    fn a_session_that_knows_no_peer_learns_from_what_leaves_it_in_init_or_up() {
        for (received, names, expected) in
            [(Down, Nobody, accept(Init, Learn)), (Up, Us, accept(Up, Learn)), (AdminDown, Nobody, accept(Down, Keep))]
        {
            let situation = Situation { knows_peer: false, ..situation(Down, received, names) };
            assert_eq!(receive(&REFERENCE, &situation), expected, "{situation:?}");
        }
    }

    #[test]
    fn up_ignores_a_packet_that_names_nobody_where_the_discriminator_is_required() {
        for (state, expected) in
            [(Up, Verdict::Ignore(Foreign)), (Init, accept(Init, Learn)), (Down, accept(Init, Learn))]
        {
            let situation = Situation { requires_discriminator: true, ..situation(state, Init, Nobody) };
            assert_eq!(receive(&ROBUST, &situation), expected, "{situation:?}");
        }
    }

    #[test]
    fn a_down_soon_after_coming_up_is_ignored_and_an_admin_down_is_not() {
        let newly_up = |received| Situation { is_newly_up: true, ..situation(Up, received, Us) };
        assert_eq!(receive(&ROBUST, &newly_up(Down)), Verdict::Ignore(StaleDown));
        assert_eq!(receive(&ROBUST, &newly_up(AdminDown)), accept(Down, Forget));
        assert_eq!(receive(&ROBUST, &newly_up(Up)), accept(Up, Learn));
    }

    #[test]
    fn an_interval_that_no_session_follows_is_ignored_after_the_discriminator_and_before_the_stale_down() {
        let slow = |names| Situation { interval_is_followed: false, is_newly_up: true, ..situation(Up, Down, names) };
        assert_eq!(receive(&ROBUST, &slow(Us)), Verdict::Ignore(Interval));
        assert_eq!(receive(&ROBUST, &slow(Another)), Verdict::Ignore(Foreign));
    }
}

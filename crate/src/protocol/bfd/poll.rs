//! The Poll Sequence of RFC 5880 §6.5, from the side that begins it.

/// How far a Poll is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poll {
    /// There is none.
    #[default]
    Idle,
    /// It has begun, and no packet has said so.
    Begun,
    /// A packet with Poll was sent.
    Sent,
    /// A packet with Poll was sent, and the timers have changed since: the next Final may answer a packet from before the
    /// change, so another Poll follows it.
    SentAndChanged,
}

impl Poll {
    /// Whether packets say Poll.
    #[must_use]
    pub fn is_active(self) -> bool {
        self != Poll::Idle
    }

    /// The timers have changed.
    pub(super) fn begin(&mut self) {
        *self = match self {
            Poll::Idle | Poll::Begun => Poll::Begun,
            Poll::Sent | Poll::SentAndChanged => Poll::SentAndChanged,
        };
    }

    /// A packet with Poll was sent.
    pub(super) fn sent(&mut self) {
        if *self == Poll::Begun {
            *self = Poll::Sent;
        }
    }

    /// A packet with Final was received. True where the peer knows the present timers since.
    pub(super) fn answered(&mut self) -> bool {
        match self {
            // An answer to an earlier Poll, which was late.
            Poll::Idle | Poll::Begun => false,
            Poll::Sent => {
                *self = Poll::Idle;
                true
            }
            Poll::SentAndChanged => {
                *self = Poll::Begun;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_ends_with_the_final_that_answers_it() {
        let mut poll = Poll::default();
        assert!(!poll.answered(), "a Final without a Poll");
        poll.begin();
        assert!(!poll.answered(), "a Final before a packet with Poll was sent");
        assert!(poll.is_active());
        poll.sent();
        assert!(poll.answered());
        assert!(!poll.is_active());
    }

    #[test]
    fn a_change_during_a_poll_is_agreed_by_a_poll_of_its_own() {
        let mut poll = Poll::default();
        poll.begin();
        poll.sent();
        poll.begin();
        poll.sent();
        assert!(!poll.answered(), "the Final may answer a packet from before the change");
        assert!(poll.is_active());
        poll.sent();
        assert!(poll.answered());
    }
}

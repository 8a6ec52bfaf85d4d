//! How a session outlives its process: what is saved of it, and how its successor goes on.

use std::sync::Arc;

use crate::protocol::Protocol;
use crate::protocol::peer_view::PeerView;
use crate::protocol::policy::Policy;
use crate::protocol::saved_session::SavedSession;
use crate::protocol::session::Session;
use crate::protocol::specifics::{SPECIFICS_LEN, Sending, Specifics};
use crate::protocol::state::State;
use crate::protocol::time::Time;

impl<P: Protocol> Session<P> {
    /// What a successor needs to go on with the session; `None` where there is nothing to go on with (AdminDown), or where the
    /// protocol keeps something that is saved nowhere.
    #[must_use]
    pub fn save(&self) -> Option<SavedSession> {
        if self.state == State::AdminDown {
            return None;
        }
        Some(SavedSession {
            state: self.state,
            last_down_reason: self.last_down_reason,
            timers: self.timers(),
            previous: self.previous.as_deref().copied(),
            local_discr: self.local_discr,
            peer_discr: self.peer.discr,
            peer_tx_min_us: self.peer.tx_min_us,
            peer_rx_min_us: self.peer.rx_min_us,
            peer_detect_mult: self.peer.detect_mult,
            details: P::save_details(&self.peer.details),
            specifics: self.specifics.save()?,
            last_rx: self.last_rx,
            flaps: self.flaps,
            worst_gap_ms: self.worst_gap_ms,
            timestamps: self.timestamps,
        })
    }

    /// Goes on with a session whose process has ended. It sends from `first_tx` on, and judges silence from `now` on: nobody
    /// listened in between.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn resumed(
        policy: Arc<Policy<P>>,
        options: P::Options,
        saved: &SavedSession,
        now: Time,
        first_tx: Time,
    ) -> Self {
        let mut session = Self::with_options(policy, saved.timers, options, saved.local_discr, now, first_tx);
        session.state = saved.state;
        session.last_down_reason = saved.last_down_reason;
        session.previous = saved.previous.map(Box::new);
        session.peer = PeerView {
            discr: saved.peer_discr,
            tx_min_us: saved.peer_tx_min_us,
            rx_min_us: saved.peer_rx_min_us,
            detect_mult: saved.peer_detect_mult,
            details: P::load_details(saved.details),
        };
        session.specifics.load(saved.specifics, saved.state);
        session.last_rx = saved.last_rx.map(|_| now);
        (session.flaps, session.worst_gap_ms) = (saved.flaps, saved.worst_gap_ms);
        session.timestamps = saved.timestamps;
        session.detect_deadline = session.silence_allowed_us().map(|us| now.plus(us));
        if saved.state == State::Down && session.policy.rules.forgets_after_silence {
            // Forgetting is not written down. A peer that was silent for so long may have restarted, and refuses packets that
            // name its previous discriminator; one that was not accepts a Down that names none.
            let heard_at = saved.last_rx.max(saved.timestamps.last_updated).unwrap_or(now);
            session.forget_at = Some(heard_at.plus(session.detect_time_us()));
            session.forget_if_silent(now);
        }
        session.next_tx = (session.sending() != Sending::Nothing).then_some(first_tx);
        session
    }

    /// Sets the time of the first packet of a session that goes on, if it sends any.
    pub(crate) fn send_first_at(&mut self, first_tx: Time) {
        self.next_tx = self.next_tx.map(|_| first_tx);
    }

    /// How long the peer waits for our next packet in the present state, in microseconds; 0 where the peer was never heard. As
    /// `peer_detect_time_us`, with what is not agreed yet.
    #[must_use]
    pub fn peer_patience_us(&self) -> u64 {
        if self.peer.detect_mult == 0 {
            return 0;
        }
        let mult = P::detect_mult(self.peer.detect_mult, self.detect_mult);
        u64::from(mult) * self.interval_in_state_us(self.tx_interval_us())
    }

    /// Whether a successor would need to know of a change since `before`: of what the peer says of itself, in the same state.
    #[must_use]
    pub(crate) fn has_news_since(&self, (peer, specifics): &Known<P>) -> bool {
        let PeerView { discr, tx_min_us, rx_min_us, detect_mult, details } = self.peer;
        (discr, tx_min_us, rx_min_us) != (peer.discr, peer.tx_min_us, peer.rx_min_us)
            || (detect_mult, details) != (peer.detect_mult, peer.details)
            || self.specifics.save() != *specifics
    }

    /// What `has_news_since` compares with.
    pub(crate) fn known(&self) -> Known<P> {
        (self.peer, self.specifics.save())
    }
}

/// What the peer has said of itself, and what the session keeps for its protocol alone.
pub(crate) type Known<P> = (PeerView<P>, Option<[u8; SPECIFICS_LEN]>);

//! How sessions outlive their process: what the engine tells of them, and how it goes on with those of a predecessor.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::io::{Continued, Path, ResumeError, SessionId, SessionSpec};
use crate::engine::journal::Journal;
use crate::engine::session_table::Slot;
use crate::engine::stats::TransitionCause;
use crate::protocol::Protocol;
use crate::protocol::saved_session::SavedSession;
use crate::protocol::session::Session;
use crate::protocol::specifics::Specifics as _;
use crate::protocol::state::State;
use crate::protocol::time::Time;

/// Sessions that are resumed together send their first packets this far apart, …
const RESUME_GAP_US: u64 = 10;

/// … but within this part of their interval: peers wait for them.
const RESUME_SPAN: u64 = 10;

impl<P: Protocol> Engine<P> {
    /// An engine that notes in which slots a successor would find something new (`poll_changed`).
    #[must_use]
    pub fn with_journal(self) -> Self {
        Self { journal: Some(Journal::default()), ..self }
    }

    /// A slot in which something has changed that a successor needs to know, if there is one.
    pub fn poll_changed(&mut self) -> Option<u32> {
        self.journal.as_mut()?.poll()
    }

    /// The session in a slot as a successor goes on with it; `None` where there is none that could be gone on with.
    #[must_use]
    pub fn continued(&self, slot: u32) -> Option<Continued> {
        let Slot { id, path, peer_port, min_ttl, session, .. } = self.sessions.try_get(slot)?;
        Some(Continued {
            id: *id,
            path: self.sessions.path(*path),
            peer_port: *peer_port,
            source_port: session.specifics().source_port(),
            min_ttl: *min_ttl,
            saved: session.save()?,
        })
    }

    /// Goes on with a session of a predecessor that was alive `age_us` ago. It is reported when it is claimed.
    ///
    /// # Errors
    /// `TooOld`, or as `add_session`; the engine is as before then.
    pub fn resume_session(
        &mut self,
        now: Time,
        age_us: u64,
        spec: SessionSpec,
        options: P::Options,
        saved: &SavedSession,
    ) -> Result<(), ResumeError> {
        // Timers that had ended before the predecessor did count no more: that is not written down.
        let previous = saved.previous.filter(|previous| previous.until > now.minus(age_us));
        let saved = SavedSession { previous, ..*saved };
        let mut session = Session::resumed(Arc::clone(&self.policy), options, &saved, now, now);
        if age_us >= session.peer_patience_us() {
            return Err(ResumeError::TooOld);
        }
        self.sessions.reserve(spec.id, spec.path, saved.local_discr)?;
        session.send_first_at(self.resume_at(now, session.tx_interval_us()));
        let (state, was_up) = (session.state(), session.was_up());
        let index = self.insert(&spec, session);
        self.schedule_transmit(index);
        self.schedule_detection(index);
        let counters = self.stats.at(self.sessions.get(index).endpoint);
        counters.sessions[state as usize] += 1;
        counters.never_up += u64::from(!was_up);
        self.write_down(index);
        Ok(())
    }

    /// Gives the session of a path to whoever registers it under this id, and reports the state that it is in. Gives the id
    /// that it had, `None` where there is no such session or `may_take` refuses it.
    pub fn claim_session(
        &mut self,
        now: Time,
        path: Path,
        id: SessionId,
        may_take: impl FnOnce(SessionId) -> bool,
    ) -> Option<SessionId> {
        let index = self.sessions.of_path(self.sessions.key(path)?)?;
        let previous = self.sessions.get(index).id;
        if !may_take(previous) || self.sessions.of_id(id).is_some() {
            return None;
        }
        self.sessions.rename(index, id);
        let endpoint = self.sessions.get(index).endpoint;
        self.stats.at(endpoint).registered += 1;
        self.report_change(index, State::AdminDown, TransitionCause::RegisterRoute, now, 0);
        self.write_down(index);
        Some(previous)
    }

    /// After a packet: notes what the peer says anew of itself. Apart, so that an engine without a successor compares nothing.
    #[cold]
    #[inline(never)]
    pub(super) fn note_news(&mut self, index: u32) {
        if let Some(journal) = &mut self.journal {
            journal.note_news(index, &self.sessions.get(index).session);
        }
    }

    /// Notes that a successor would find something new in a slot.
    pub(super) fn write_down(&mut self, index: u32) {
        if let Some(journal) = &mut self.journal {
            journal.note(index, self.sessions.try_get(index).map(|slot| &slot.session));
        }
    }

    fn resume_at(&mut self, now: Time, interval_us: u64) -> Time {
        let first_tx = self.pace.max(now).min(now.plus(interval_us / RESUME_SPAN));
        self.pace = first_tx.plus(RESUME_GAP_US);
        first_tx
    }
}

//! Sessions in maintenance: their routes are not withdrawn although the sessions go Down.

use rustc_hash::FxHashSet;

use crate::engine::SessionId;

/// All sessions, or some of them.
#[derive(Clone, Debug, Default)]
pub struct Maintenance {
    all: bool,
    sessions: FxHashSet<SessionId>,
}

impl Maintenance {
    /// Begins or ends the maintenance of these sessions; `None` stands for all, those that are added later included. One
    /// changes nothing about the other.
    pub fn set(&mut self, sessions: Option<&[SessionId]>, active: bool) {
        match sessions {
            None => self.all = active,
            Some(ids) if active => self.sessions.extend(ids),
            Some(ids) => ids.iter().for_each(|id| {
                self.sessions.remove(id);
            }),
        }
    }

    /// Whether a session is in maintenance.
    #[must_use]
    pub fn covers(&self, session: SessionId) -> bool {
        self.all || self.sessions.contains(&session)
    }
}

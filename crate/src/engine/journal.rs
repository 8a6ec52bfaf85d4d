//! In which slots a successor of this process would find something new.

use crate::protocol::Protocol;
use crate::protocol::session::{Known, Session};

/// The slots that have changed, and what the peers had said when each was noted last.
#[derive(Debug)]
pub(crate) struct Journal<P: Protocol> {
    changed: Vec<u32>,
    known: Vec<Option<Known<P>>>,
}

impl<P: Protocol> Default for Journal<P> {
    fn default() -> Self {
        Self { changed: Vec::new(), known: Vec::new() }
    }
}

impl<P: Protocol> Journal<P> {
    /// Notes a slot, and what its session knows, if there is one.
    pub(crate) fn note(&mut self, slot: u32, session: Option<&Session<P>>) {
        let at = slot as usize;
        if self.known.len() <= at {
            self.known.resize_with(at + 1, || None);
        }
        self.known[at] = session.map(Session::known);
        if self.changed.last() != Some(&slot) {
            self.changed.push(slot);
        }
    }

    /// Notes a slot if its session knows something else than it did.
    pub(crate) fn note_news(&mut self, slot: u32, session: &Session<P>) {
        let known = self.known.get(slot as usize).and_then(Option::as_ref);
        if known.is_none_or(|known| session.has_news_since(known)) {
            self.note(slot, Some(session));
        }
    }

    /// A slot that was noted, if there is one.
    pub(crate) fn poll(&mut self) -> Option<u32> {
        self.changed.pop()
    }
}

//! The links of a simulated host: each has an interface while it is there, and another one whenever it comes back.

use rustc_hash::FxHashMap;

/// The first interface that a link gets when it comes back. Before, it has the number of its link.
const FIRST_AGAIN: u32 = 1_000;

/// The links of a host.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Of links that were removed: the interface since then; 0 for none.
    interfaces: FxHashMap<u32, u32>,
    returns: u32,
    /// What the thread has not heard of yet.
    changed: Vec<u32>,
}

impl Links {
    /// The interface of a link; 0 for none.
    pub(super) fn interface(&self, link: u32) -> u32 {
        self.interfaces.get(&link).copied().unwrap_or(link)
    }

    /// Whether a link has no interface.
    pub(super) fn is_gone(&self, link: u32) -> bool {
        self.interfaces.get(&link) == Some(&0)
    }

    /// A new process knows the links as they are.
    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The link goes.
    pub(super) fn remove(&mut self, link: u32) {
        self.interfaces.insert(link, 0);
    }

    /// The link comes back, if it was removed. Gives whether it was.
    pub(super) fn restore(&mut self, link: u32) -> bool {
        let was_gone = self.is_gone(link);
        if was_gone {
            self.interfaces.insert(link, FIRST_AGAIN + self.returns);
            self.returns += 1;
        }
        was_gone
    }

    /// The links that are not there.
    pub(super) fn gone(&self) -> Vec<u32> {
        let mut links: Vec<u32> = self.interfaces.keys().copied().filter(|link| self.is_gone(*link)).collect();
        links.sort_unstable();
        links
    }

    pub(super) fn note_change(&mut self, link: u32) {
        self.changed.push(link);
    }

    pub(super) fn take_changes(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }
}

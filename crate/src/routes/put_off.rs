//! What has failed and is tried again, all of it together. Pure, given the time.

use std::collections::BTreeSet;

use crate::protocol::time::Time;

/// So long after the first failure everything is tried again.
const RETRY_US: u64 = 10_000_000;

#[derive(Debug)]
pub(crate) struct PutOff<T> {
    waiting: BTreeSet<T>,
    retry_at: Option<Time>,
}

impl<T> Default for PutOff<T> {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), retry_at: None }
    }
}

impl<T: Ord> PutOff<T> {
    /// These have failed.
    pub(crate) fn put(&mut self, failed: impl IntoIterator<Item = T>, now: Time) {
        self.waiting.extend(failed);
        self.retry_at.get_or_insert(now.plus(RETRY_US));
    }

    /// This is not to be tried again.
    pub(crate) fn forget(&mut self, done: &T) {
        self.waiting.remove(done);
    }

    /// When `take_due` gives something.
    pub(crate) fn poll_deadline(&self) -> Option<Time> {
        self.retry_at
    }

    /// Takes what is to be tried again now.
    pub(crate) fn take_due(&mut self, now: Time) -> BTreeSet<T> {
        if self.retry_at.take_if(|at| *at <= now).is_none() {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.waiting)
    }
}

//! A bell by which a thread wakes JavaScript: one ring, however much waits.

use crate::system::sync::atomic::{AtomicBool, Ordering};

/// What rings. It must not block, and must not call back into what rang it.
pub type Bell = Box<dyn Fn() + Send + Sync>;

/// Rings once until it is answered.
pub struct Doorbell {
    /// The bell was rung and not answered yet.
    rung: AtomicBool,
    bell: Bell,
}

impl Doorbell {
    /// A doorbell that was not rung yet.
    #[must_use]
    pub fn new(bell: Bell) -> Self {
        Self { rung: AtomicBool::new(false), bell }
    }

    /// To be called after an item was left. Rings unless the last ring is unanswered.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            (self.bell)();
        }
    }

    /// To be called before the waiting items are taken, so that items that come meanwhile ring again.
    pub fn answer(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

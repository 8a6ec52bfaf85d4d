//! The state file of a simulated host: bytes in memory, as a process leaves them that ends at any moment.

use crate::engine::state_slot::SLOT_LEN;
use crate::protocol::time::Time;

/// The bytes of a state file.
#[derive(Debug)]
pub(super) struct StateFile {
    pub(super) places: Vec<u8>,
    /// When its writer was alive last, by the clock of the host.
    pub(super) alive: Time,
    /// When a successor went on with it last, by the clock of the world.
    pub(super) resumed_at: Option<Time>,
}

impl Default for StateFile {
    fn default() -> Self {
        Self { places: Vec::new(), alive: Time::from_micros(0), resumed_at: None }
    }
}

impl StateFile {
    /// The place of a slot.
    pub(super) fn place(&mut self, slot: u32) -> &mut [u8] {
        let from = slot as usize * SLOT_LEN;
        if self.places.len() < from + SLOT_LEN {
            self.places.resize(from + SLOT_LEN, 0);
        }
        &mut self.places[from..from + SLOT_LEN]
    }
}

//! A host whose process ends at any moment and leaves its state file, and the successor that goes on with it.

use crate::engine::state_record::{RECORD_LEN, StateRecord};
use crate::engine::state_slot::{self, SLOT_LEN, SlotContents};
use crate::engine::stats::LinkId;
use crate::engine::{Path, SessionId, SessionSpec};
use crate::protocol::time::Time;
use crate::sim::host::Host;
use crate::sim::simulated_protocol::SimulatedProtocol;

impl<P: SimulatedProtocol> Host<P> {
    /// Writes down what has changed, as the driver does before packets leave.
    pub(super) fn write_state(&mut self, local: Time) {
        while let Some(slot) = self.engine.poll_changed() {
            let record = self.state_record(slot);
            state_slot::write(self.state_file.place(slot), record.as_ref());
        }
        self.state_file.alive = local;
    }

    fn state_record(&self, slot: u32) -> Option<[u8; RECORD_LEN]> {
        let continued = self.engine.continued(slot)?;
        let interface = name_of(continued.path.link);
        StateRecord::new(continued, interface, false).encode()
    }

    /// When a successor last went on with the state file of this host, by the clock of the world.
    pub(in crate::sim) fn resumed_at(&self) -> Option<Time> {
        self.state_file.resumed_at
    }

    /// The process ends, perhaps in the middle of a write. The engine stays as it was until there is a successor.
    pub(in crate::sim) fn leave(&mut self) {
        let slots = (self.state_file.places.len() / SLOT_LEN) as u64;
        if slots > 0 {
            let slot = self.random.up_to(slots - 1) as u32;
            let cut = self.random.up_to(SLOT_LEN as u64) as usize;
            let record = self.state_record(slot);
            let mut whole = self.state_file.place(slot).to_vec();
            state_slot::write(&mut whole, record.as_ref());
            self.state_file.place(slot)[..cut].copy_from_slice(&whole[..cut]);
        }
        self.lose_memory();
    }

    /// A successor goes on with the sessions of the state file, and adopts the routes.
    pub(in crate::sim) fn resume(&mut self, now: Time) {
        let local = self.clock.local(now);
        let age_us = local.since(self.state_file.alive);
        let places = std::mem::take(&mut self.state_file.places);
        self.state_file.resumed_at = Some(now);
        self.begin();
        for (place, number) in places.chunks_exact(SLOT_LEN).zip(0u32..) {
            if let SlotContents::Occupied(record) = state_slot::read(place) {
                self.resume_session(local, age_us, SessionId(u32::MAX - number), &record);
            }
        }
        for (spec, options) in self.sessions.clone().into_iter().zip(self.options.clone()) {
            if self.engine.claim_session(local, spec.path, spec.id, |_| true).is_some() {
                self.checker.resumed(&self.engine, spec.id, spec.path);
                self.engine.update_session(local, spec.id, spec.timers, spec.peer_port);
                self.engine.update_options(local, spec.id, options);
            } else {
                self.start_session(spec, options, now);
            }
        }
        for at in self.order_of_registration() {
            // As the driver: a route of a session that goes on may have been left by the predecessor.
            let session = self.engine.session(self.routes[at].armed.session);
            let is_claimed = session.is_some_and(|(session, _)| session.was_up());
            self.find_route(at, is_claimed, now);
        }
        self.wake_at = Some(now);
    }

    fn resume_session(&mut self, local: Time, age_us: u64, id: SessionId, record: &StateRecord) {
        let names = |spec: &SessionSpec| {
            let Path { link, local, peer } = spec.path;
            (name_of(link), local, peer) == (record.interface.clone(), record.local, record.peer)
        };
        let Some(at) = self.sessions.iter().position(names) else { return };
        let known = self.sessions[at];
        let spec = SessionSpec { id, timers: record.saved.timers, peer_port: record.peer_port, ..known };
        // One whose peer waits no longer begins anew.
        let _ = self.engine.resume_session(local, age_us, spec, self.options[at].clone(), &record.saved);
    }
}

/// The links of the simulator have the numbers of their pairs.
fn name_of(link: LinkId) -> String {
    format!("link{}", link.0)
}

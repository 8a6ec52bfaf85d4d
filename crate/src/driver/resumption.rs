//! The state file of this process, and what is known of the sessions of its predecessor.

use std::path::Path;

use rustc_hash::FxHashSet;

use crate::engine::SessionId;
use crate::engine::state_header::{ALIVE_AT, BOOT_ID_LEN, HEADER_LEN, NoState, StateHeader};
use crate::engine::state_record::StateRecord;
use crate::engine::state_slot::{self, SLOT_LEN};
use crate::net::start_error::StartError;
use crate::protocol::time::Time;
use crate::routes::armed::ArmedRoute;
use crate::system::state_file::{LockedFile, StateFile, StateFileError, boot_id};

/// The file of a predecessor, which has ended, or of nobody.
pub(super) struct Predecessor {
    pub(super) file: LockedFile,
    bytes: Vec<u8>,
    is_ours: bool,
    pub(super) boot_id: [u8; BOOT_ID_LEN],
}

impl Predecessor {
    /// Locks the file and reads it.
    ///
    /// # Errors
    /// `ResumeBusy` where another process has it, `StateFile` where it cannot be used.
    pub(super) fn lock(path: &Path) -> Result<Self, StartError> {
        let open = || {
            let mut file = LockedFile::open(path)?;
            let bytes = file.read()?;
            let is_ours = file.is_ours_alone()?;
            let mut id = [0; BOOT_ID_LEN];
            id.iter_mut().zip(boot_id()?).for_each(|(to, from)| *to = from);
            Ok(Self { file, bytes, is_ours, boot_id: id })
        };
        open().map_err(|error| start_error(path, error))
    }

    /// When its writer was alive last, and the places of its sessions.
    pub(super) fn state(&self, header: &StateHeader, now: Time) -> Result<(Time, &[u8]), NoState> {
        if self.is_ours || self.bytes.is_empty() { header.read(&self.bytes, now) } else { Err(NoState::User) }
    }
}

/// The error of a start whose state file cannot be used.
pub(super) fn start_error(path: &Path, error: StateFileError) -> StartError {
    let path = path.display().to_string();
    match error {
        StateFileError::Busy => StartError::ResumeBusy(path),
        error => StartError::StateFile { path, error },
    }
}

/// The state file of this process, and the sessions of its predecessor.
pub(super) struct Resumption {
    /// `None` once there is nothing to leave.
    pub(super) file: Option<StateFile>,
    /// How many sessions went on.
    pub(super) resumed: usize,
    /// Sessions that nobody has registered yet.
    pub(super) unclaimed: FxHashSet<SessionId>,
    /// Sessions that were registered: their routes are in the kernel.
    pub(super) claimed: FxHashSet<SessionId>,
    /// When those that nobody has registered end.
    pub(super) claim_until: Option<Time>,
}

impl Resumption {
    /// Whether a predecessor may have left a route in the kernel: the first time that it is armed.
    pub(super) fn adopts(&self, route: &ArmedRoute) -> bool {
        route.generation == 1 && self.claimed.contains(&route.session)
    }

    /// Writes what a successor is to know of a slot.
    pub(super) fn write(&mut self, slot: u32, record: Option<&StateRecord>) {
        if let Some(file) = &mut self.file {
            write_place(file.bytes(), slot, record);
        }
    }

    /// Writes that this process is alive: one store.
    pub(super) fn write_alive(&mut self, now: Time) {
        if let Some(file) = &mut self.file {
            file.bytes()[ALIVE_AT..HEADER_LEN].copy_from_slice(&now.micros().to_le_bytes());
        }
    }
}

/// Writes what a successor is to know of a slot into the bytes of a file.
pub(super) fn write_place(file: &mut [u8], slot: u32, record: Option<&StateRecord>) {
    let from = HEADER_LEN + slot as usize * SLOT_LEN;
    if let Some(place) = file.get_mut(from..from + SLOT_LEN) {
        state_slot::write(place, record.and_then(StateRecord::encode).as_ref());
    }
}

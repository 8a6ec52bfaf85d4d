//! The beginning of the state file: whose state it is. What another boot, another version or another configuration has left
//! is no state.

use crate::engine::state_slot::{SLOT_LEN, checksum};
use crate::protocol::time::Time;

/// Bytes before the first place of a session.
pub const HEADER_LEN: usize = 128;

/// Where the time stands at which the writer was alive, in microseconds. It is beside the checksum, since it changes all the time.
pub const ALIVE_AT: usize = 120;

const MAGIC: [u8; 8] = *b"RLSTATE\0";

/// Grows with every change of the form of the file, whatever the version of the package is.
const FORMAT: u32 = 1;

const SUM_AT: usize = 112;

/// Bytes of the text that names a boot (/proc/sys/kernel/random/boot_id).
pub const BOOT_ID_LEN: usize = 36;

/// Whose state a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHeader {
    /// The boot of the machine: its clock begins with it.
    pub boot_id: [u8; BOOT_ID_LEN],
    /// The user that the process ran as.
    pub uid: u32,
    /// The UDP port of BFD or of the liveness protocol by default: they tell the protocols apart.
    pub protocol: u16,
    /// The port that packets are received on.
    pub port: u16,
    /// How many places for sessions follow.
    pub slots: u32,
}

/// Why a file is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoState {
    /// Nothing is in it.
    Empty,
    /// It is no state file, or cut off.
    Damaged,
    /// Its form is that of another version of the package.
    Version,
    /// It is of another boot.
    Boot,
    /// It is of another user.
    User,
    /// It is of another protocol.
    Protocol,
    /// It is of another port.
    Port,
    /// It says that its writer will be alive.
    Future,
}

impl NoState {
    /// For the log; `None` where there is nothing to tell.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            NoState::Empty => None,
            NoState::Damaged => Some("it is damaged"),
            NoState::Version => Some("another version wrote it"),
            NoState::Boot => Some("the machine was booted since"),
            NoState::User => Some("it is of another user, or others than its owner may use it"),
            NoState::Protocol => Some("it is of another protocol"),
            NoState::Port => Some("it is of another port"),
            NoState::Future => Some("it was written by another clock"),
        }
    }
}

impl StateHeader {
    /// The bytes at the beginning of the file, with the time at which the writer is alive.
    #[must_use]
    pub fn encode(&self, alive: Time) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &FORMAT.to_le_bytes(),
            &self.uid.to_le_bytes(),
            &self.slots.to_le_bytes(),
            &self.protocol.to_le_bytes(),
            &self.port.to_le_bytes(),
            &self.boot_id,
        ];
        let mut at = 0;
        for field in fields {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let sum = checksum(&bytes[..SUM_AT]);
        bytes[SUM_AT..ALIVE_AT].copy_from_slice(&sum.to_le_bytes());
        bytes[ALIVE_AT..].copy_from_slice(&alive.micros().to_le_bytes());
        bytes
    }

    /// When the writer of a file was alive last, and the places of its sessions. A `port` of 0 takes the state of any.
    ///
    /// # Errors
    /// Why the file is no state for a process that would write this header.
    pub fn read<'a>(&self, file: &'a [u8], now: Time) -> Result<(Time, &'a [u8]), NoState> {
        if file.is_empty() {
            return Err(NoState::Empty);
        }
        let (bytes, places) = file.split_first_chunk::<HEADER_LEN>().ok_or(NoState::Damaged)?;
        if bytes[..8] != MAGIC || bytes[SUM_AT..ALIVE_AT] != checksum(&bytes[..SUM_AT]).to_le_bytes() {
            return Err(NoState::Damaged);
        }
        if bytes[8..12] != FORMAT.to_le_bytes() {
            return Err(NoState::Version);
        }
        let slots = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        if places.len() != slots as usize * SLOT_LEN {
            return Err(NoState::Damaged);
        }
        let port = u16::from_le_bytes([bytes[22], bytes[23]]);
        let refusals = [
            (bytes[24..24 + BOOT_ID_LEN] != self.boot_id, NoState::Boot),
            (bytes[12..16] != self.uid.to_le_bytes(), NoState::User),
            (bytes[20..22] != self.protocol.to_le_bytes(), NoState::Protocol),
            (self.port != 0 && port != self.port, NoState::Port),
        ];
        if let Some((_, why)) = refusals.into_iter().find(|(is_refused, _)| *is_refused) {
            return Err(why);
        }
        let mut alive = [0; 8];
        alive.copy_from_slice(&bytes[ALIVE_AT..]);
        let alive = Time::from_micros(u64::from_le_bytes(alive));
        if alive > now { Err(NoState::Future) } else { Ok((alive, places)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_000_000);

    fn header() -> StateHeader {
        StateHeader { boot_id: [b'a'; BOOT_ID_LEN], uid: 7, protocol: 3_784, port: 9, slots: 1 }
    }

    fn file(header: &StateHeader, alive: Time) -> Vec<u8> {
        [&header.encode(alive)[..], &[0; SLOT_LEN]].concat()
    }

    #[test]
    fn a_file_of_the_same_boot_user_protocol_and_port_is_state() {
        let file = file(&header(), Time::from_micros(5));
        for port in [9, 0] {
            let (alive, places) = StateHeader { port, ..header() }.read(&file, NOW).unwrap();
            assert_eq!((alive.micros(), places.len()), (5, SLOT_LEN));
        }
    }

    #[test]
    fn a_file_of_another_boot_user_protocol_port_version_or_clock_is_no_state_and_neither_is_a_damaged_one() {
        let read = |bytes: &[u8]| header().read(bytes, NOW).map(drop);
        for (other, why) in [
            (StateHeader { boot_id: [b'b'; BOOT_ID_LEN], ..header() }, NoState::Boot),
            (StateHeader { uid: 8, ..header() }, NoState::User),
            (StateHeader { protocol: 44_880, ..header() }, NoState::Protocol),
            (StateHeader { port: 10, ..header() }, NoState::Port),
            (StateHeader { slots: 2, ..header() }, NoState::Damaged),
        ] {
            assert_eq!(read(&file(&other, NOW)), Err(why));
        }
        assert_eq!(read(&file(&header(), NOW.plus(1))), Err(NoState::Future));
        let whole = file(&header(), NOW);
        assert_eq!(read(&[]), Err(NoState::Empty));
        assert_eq!(read(&whole[..whole.len() - 1]), Err(NoState::Damaged));
        assert_eq!(read(&whole[..60]), Err(NoState::Damaged));
        let mut version = whole.clone();
        version[8] += 1;
        let sum = checksum(&version[..SUM_AT]).to_le_bytes();
        version[SUM_AT..ALIVE_AT].copy_from_slice(&sum);
        assert_eq!(read(&version), Err(NoState::Version));
        for at in 0..SUM_AT {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(read(&flipped), Err(NoState::Damaged), "byte {at}");
        }
    }
}

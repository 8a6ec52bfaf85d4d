//! A place of the state file. It has two copies of its record: the older one is overwritten, so that a writer that is killed
//! at any moment leaves the new record or the one before it.

use crate::engine::state_record::{RECORD_LEN, StateRecord};

/// Bytes of a copy: checksum, number, kind, record.
const COPY_LEN: usize = 192;
const CHECKED_FROM: usize = 8;
const KIND_AT: usize = 12;
const RECORD_AT: usize = 16;

/// Bytes of a place.
pub const SLOT_LEN: usize = 2 * COPY_LEN;

const VACANT: u8 = 0;
const OCCUPIED: u8 = 1;

/// What a place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotContents {
    /// No session.
    Vacant,
    /// A session.
    Occupied(Box<StateRecord>),
    /// Something that no writer of ours leaves.
    Damaged,
}

/// Writes a record, or that there is none.
///
/// # Panics
/// Unless the place has `SLOT_LEN` bytes.
pub fn write(slot: &mut [u8], record: Option<&[u8; RECORD_LEN]>) {
    let numbers = copies(slot).map(|copy| number(copy).unwrap_or(0));
    let (older, next) = if numbers[0] <= numbers[1] { (0, numbers[1] + 1) } else { (1, numbers[0] + 1) };
    let mut copy = [0; COPY_LEN];
    copy[CHECKED_FROM..KIND_AT].copy_from_slice(&next.to_le_bytes());
    copy[KIND_AT] = if record.is_some() { OCCUPIED } else { VACANT };
    copy[RECORD_AT..].copy_from_slice(record.unwrap_or(&[0; RECORD_LEN]));
    let sum = checksum(&copy[CHECKED_FROM..]);
    copy[..CHECKED_FROM].copy_from_slice(&sum.to_le_bytes());
    slot[older * COPY_LEN..(older + 1) * COPY_LEN].copy_from_slice(&copy);
}

/// Reads the newest whole record.
///
/// # Panics
/// Unless the place has `SLOT_LEN` bytes.
#[must_use]
pub fn read(slot: &[u8]) -> SlotContents {
    if slot.iter().all(|byte| *byte == 0) {
        return SlotContents::Vacant;
    }
    let newest = copies(slot).into_iter().max_by_key(|copy| number(copy)).filter(|copy| number(copy).is_some());
    let Some(copy) = newest else { return SlotContents::Damaged };
    if copy[KIND_AT] == VACANT {
        return SlotContents::Vacant;
    }
    let record = copy[RECORD_AT..].try_into().ok().and_then(StateRecord::decode);
    record.map_or(SlotContents::Damaged, |record| SlotContents::Occupied(Box::new(record)))
}

fn copies(slot: &[u8]) -> [&[u8]; 2] {
    let (first, second) = slot.split_at(COPY_LEN);
    assert_eq!(second.len(), COPY_LEN, "a place of the state file");
    [first, second]
}

/// The number of a copy, which is greater than that of the one before it; `None` where the copy is not whole.
fn number(copy: &[u8]) -> Option<u32> {
    let (sum, checked) = copy.split_first_chunk()?;
    let number = u32::from_le_bytes(*checked.first_chunk()?);
    (number != 0 && u64::from_le_bytes(*sum) == checksum(checked)).then_some(number)
}

/// FNV-1a: against a write that was cut off, not against an adversary, who could write the file as we do.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::state_record::tests::record;

    fn occupied(record: &StateRecord) -> SlotContents {
        SlotContents::Occupied(Box::new(record.clone()))
    }

    #[test]
    fn a_place_that_was_never_written_is_vacant_and_one_of_garbage_is_damaged() {
        assert_eq!(read(&[0; SLOT_LEN]), SlotContents::Vacant);
        assert_eq!(read(&[7; SLOT_LEN]), SlotContents::Damaged);
    }

    proptest! {
        #[test]
        fn a_write_that_is_cut_off_after_any_byte_leaves_the_record_before_it(
            first in record(),
            second in record(),
            removes: bool,
            earlier in 0u8..3,
        ) {
            let mut before = [0; SLOT_LEN];
            for _ in 0..earlier {
                write(&mut before, None);
            }
            write(&mut before, first.encode().as_ref());
            let mut after = before;
            write(&mut after, second.encode().as_ref().filter(|_| !removes));
            let expected = if removes { SlotContents::Vacant } else { occupied(&second) };
            prop_assert_eq!(read(&after), expected.clone());
            for cut in 0..SLOT_LEN {
                let mut torn = before;
                torn[..cut].copy_from_slice(&after[..cut]);
                let found = read(&torn);
                prop_assert!(found == occupied(&first) || found == expected, "{} {:?}", cut, found);
            }
        }
    }
}

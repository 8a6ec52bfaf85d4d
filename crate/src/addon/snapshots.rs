//! Snapshots for JavaScript, as rows of numbers: objects would cost ten times as much. `ts/engine/native/rows.ts` reads the rows; both
//! files change together.

use crate::addon::objects::{number, time};
use crate::driver::snapshot::Snapshot;
use crate::protocol::time::Time;

/// The number of columns in a row.
const COLUMNS: usize = 16;

/// The rows, one after another.
#[derive(Default)]
pub(super) struct SnapshotRows(Vec<f64>);

impl SnapshotRows {
    pub(super) fn with_room_for(sessions: usize) -> Self {
        Self(Vec::with_capacity(sessions * COLUMNS))
    }

    pub(super) fn push(&mut self, session: &Snapshot) {
        let timestamps = &session.timestamps;
        let row: [f64; COLUMNS] = [
            session.id.0.into(),
            (session.state as u32).into(),
            session.local_discr.into(),
            session.peer_discr.into(),
            (session.last_down_reason as u32).into(),
            optional(timestamps.conv_up_start),
            optional(timestamps.conv_down_start),
            optional(timestamps.up_since),
            optional(timestamps.down_since),
            optional(session.detect_deadline),
            optional(session.next_detect_scheduled),
            optional(timestamps.last_updated),
            number(session.detect_time_us),
            number(session.tx_interval_us),
            session.peer_passive.map_or(f64::NAN, |passive| f64::from(u8::from(passive))),
            u32::from_be_bytes(session.peer_version).into(),
        ];
        self.0.extend(row);
    }

    pub(super) fn into_numbers(self) -> Vec<f64> {
        self.0
    }
}

/// NaN stands for a time that has not come.
fn optional(at: Option<Time>) -> f64 {
    at.map_or(f64::NAN, time)
}

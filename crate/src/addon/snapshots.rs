//! Snapshots for JavaScript, as rows of numbers: objects would cost ten times as much. `ts/engine/native/rows.ts` reads the rows; both
//! files change together.

use crate::addon::objects::{number, time};
use crate::driver::snapshot::Snapshot;
use crate::protocol::time::Time;

/// The number of columns in a row.
const COLUMNS: usize = 25;

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
            time_or_nan(timestamps.conv_up_start),
            time_or_nan(timestamps.conv_down_start),
            time_or_nan(timestamps.up_since),
            time_or_nan(timestamps.down_since),
            time_or_nan(session.detect_deadline),
            time_or_nan(session.next_detect_scheduled),
            time_or_nan(timestamps.last_updated),
            number(session.detect_time_us),
            number(session.tx_interval_us),
            or_nan(session.peer_passive.map(u8::from)),
            u32::from_be_bytes(session.peer_version).into(),
            or_nan(session.remote_detect_mult),
            or_nan(session.remote_tx_min_us),
            or_nan(session.remote_rx_min_us),
            or_nan(session.bfd.map(|bfd| bfd.local_diag as u8)),
            or_nan(session.bfd.map(|bfd| bfd.remote_diag as u8)),
            or_nan(session.bfd.map(|bfd| u8::from(bfd.polling))),
            or_nan(session.bfd.and_then(|bfd| bfd.auth_key_id)),
            session.flaps.into(),
            or_nan(session.worst_gap_ms),
        ];
        self.0.extend(row);
    }

    pub(super) fn into_numbers(self) -> Vec<f64> {
        self.0
    }
}

/// NaN stands for what is not there.
fn or_nan(value: Option<impl Into<f64>>) -> f64 {
    value.map_or(f64::NAN, Into::into)
}

/// NaN stands for a time that has not come.
fn time_or_nan(at: Option<Time>) -> f64 {
    at.map_or(f64::NAN, time)
}

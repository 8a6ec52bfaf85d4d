//! The sequence numbers of packets with a digest: circular, in 32 bits.

use crate::protocol::time::Time;

/// Numbers that may repeat grow this often, in microseconds.
const GROWS_EVERY_US: u64 = 1_000_000;

/// What a session sends (bfd.XmitAuthSeq).
#[derive(Debug)]
pub(super) struct Sent {
    number: u32,
    grown_at: Option<Time>,
}

impl Sent {
    pub(super) fn new(first: u32) -> Self {
        Self { number: first, grown_at: None }
    }

    /// The number of a packet that is sent at `now`.
    pub(super) fn next(&mut self, is_meticulous: bool, now: Time) -> u32 {
        if is_meticulous || self.grown_at.is_none_or(|at| now.since(at) >= GROWS_EVERY_US) {
            self.number = self.number.wrapping_add(1);
            self.grown_at = Some(now);
        }
        self.number
    }
}

/// What a session has accepted (bfd.RcvAuthSeq, bfd.AuthSeqKnown).
#[derive(Debug, Default)]
pub(super) struct Received {
    last: Option<(u32, Time)>,
}

impl Received {
    /// Forgets the number after twice the detection time without an accepted packet (RFC 5880 §6.8.1).
    pub(super) fn forget_if_silent(&mut self, now: Time, detect_time_us: u64) {
        self.last = self.last.filter(|(_, at)| now.since(*at) < 2 * detect_time_us);
    }

    /// Whether the number is one of the `window` next; the same again counts where it may repeat.
    pub(super) fn may_be_next(&self, number: u32, window: u32, is_meticulous: bool) -> bool {
        self.last.is_none_or(|(last, _)| {
            let step = number.wrapping_sub(last);
            step <= window && (step > 0 || !is_meticulous)
        })
    }

    pub(super) fn note(&mut self, number: u32, arrival: Time) {
        self.last = Some((number, arrival));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    #[test]
    fn meticulous_numbers_grow_with_each_packet_and_others_once_a_second() {
        let mut sent = Sent::new(u32::MAX - 1);
        assert_eq!([sent.next(true, at(1)), sent.next(true, at(1)), sent.next(true, at(2))], [u32::MAX, 0, 1]);
        let mut sent = Sent::new(7);
        let numbers: Vec<u32> = (0..=40).map(|step| sent.next(false, at(1 + step * 50_000))).collect();
        assert_eq!((numbers[0], numbers[19], numbers[20], numbers[40]), (8, 8, 9, 10));
    }

    #[test]
    fn a_number_outside_of_the_window_is_refused_until_two_detection_times_are_silent() {
        let mut received = Received::default();
        assert!(received.may_be_next(0, 9, true), "no number is known yet");
        received.note(u32::MAX - 2, at(1_000_000));
        for (number, is_meticulous, expected) in [
            (u32::MAX - 3, false, false),
            (u32::MAX - 2, false, true),
            (u32::MAX - 2, true, false),
            (u32::MAX - 1, true, true),
            (6, true, true),
            (7, false, false),
        ] {
            assert_eq!(received.may_be_next(number, 9, is_meticulous), expected, "{number} {is_meticulous}");
        }
        received.forget_if_silent(at(1_299_999), 150_000);
        assert!(!received.may_be_next(7, 9, false));
        received.forget_if_silent(at(1_300_000), 150_000);
        assert!(received.may_be_next(7, 9, false));
    }
}

//! A datagram to ourselves, sent while a session is about to be judged: where the kernel does not hand it over at once, it may hold
//! back the packets of peers as well, and their silence is this host's.
//!
//! It takes the path of received packets from the queue of a core onwards. What waits before that, in a device whose own thread
//! gets no time, it does not show.

use crate::protocol::time::Time;

/// What a probe consists of: a secret, so that nobody else answers for the kernel, and its number.
pub(super) const PROBE_LEN: usize = 16;

/// A probe that is not back after so long is lost: a firewall drops what the host sends to itself.
const LOST_AFTER_US: u64 = 1_000_000;

/// What the last probe tells of the receive path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceivePath {
    /// Nothing: no probe is on its way.
    Idle,
    /// A probe is on its way, and probes are known to come back: packets may be held back.
    Stalled,
    /// A probe is on its way, but none has ever come back, or the last one was lost.
    Unknown,
}

/// The probes of one driver.
#[derive(Debug)]
pub(super) struct ReceiveProbe {
    secret: u64,
    number: u64,
    sent_at: Option<Time>,
    /// The last one came back.
    is_answered: bool,
}

impl ReceiveProbe {
    /// Without a probe on its way. The secret is not to be guessed.
    pub(super) fn new(secret: u64) -> Self {
        Self { secret, number: 0, sent_at: None, is_answered: false }
    }

    /// Begins a probe at `now`, and gives its bytes.
    pub(super) fn begin(&mut self, now: Time) -> [u8; PROBE_LEN] {
        self.number += 1;
        self.sent_at = Some(now);
        self.bytes()
    }

    /// Takes the probe for one that was not sent.
    pub(super) fn cancel(&mut self) {
        self.sent_at = None;
    }

    /// What is known at `now`.
    pub(super) fn path(&mut self, now: Time) -> ReceivePath {
        let Some(sent_at) = self.sent_at else { return ReceivePath::Idle };
        if now.since(sent_at) >= LOST_AFTER_US {
            (self.sent_at, self.is_answered) = (None, false);
            return ReceivePath::Idle;
        }
        if self.is_answered { ReceivePath::Stalled } else { ReceivePath::Unknown }
    }

    /// Whether a datagram is one of these probes. Where it is the last one, `delay` is told how long it took.
    pub(super) fn takes(&mut self, datagram: &[u8], now: Time, mut delay: impl FnMut(u64)) -> bool {
        if datagram.len() != PROBE_LEN || datagram[..8] != self.secret.to_be_bytes() {
            return false;
        }
        self.is_answered = true;
        if let Some(sent_at) = self.sent_at.take_if(|_| datagram[8..] == self.number.to_be_bytes()) {
            delay(now.since(sent_at));
        }
        true
    }

    fn bytes(&self) -> [u8; PROBE_LEN] {
        let mut bytes = [0; PROBE_LEN];
        bytes[..8].copy_from_slice(&self.secret.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: u64 = 0x0102_0304_0506_0708;

    fn at(ms: u64) -> Time {
        Time::from_micros(1_000_000 + ms * 1_000)
    }

    fn ignored(_: u64) {}

    #[test]
    fn a_probe_on_its_way_tells_of_a_stall_once_one_has_come_back_and_tells_how_long_it_took() {
        let mut probe = ReceiveProbe::new(SECRET);
        let first = probe.begin(at(0));
        assert_eq!(probe.path(at(0)), ReceivePath::Unknown);
        assert!(probe.takes(&first, at(0), ignored));
        assert_eq!(probe.path(at(0)), ReceivePath::Idle);

        let second = probe.begin(at(10));
        assert_eq!(probe.path(at(12)), ReceivePath::Stalled);
        let mut delays = Vec::new();
        assert!(probe.takes(&second, at(17), |us| delays.push(us)));
        assert!(probe.takes(&first, at(18), |us| delays.push(us)), "an earlier one is one of ours, too");
        assert_eq!(delays, [7_000]);
        assert_eq!(probe.path(at(18)), ReceivePath::Idle);
    }

    #[test]
    fn where_a_probe_was_lost_the_next_ones_tell_of_no_stall_until_one_comes_back() {
        let mut probe = ReceiveProbe::new(SECRET);
        let answered = probe.begin(at(0));
        probe.takes(&answered, at(0), ignored);
        let lost = probe.begin(at(10));
        assert_eq!(probe.path(at(1_009)), ReceivePath::Stalled);
        assert_eq!(probe.path(at(1_010)), ReceivePath::Idle);
        probe.begin(at(1_020));
        assert_eq!(probe.path(at(1_020)), ReceivePath::Unknown);
        probe.takes(&lost, at(1_030), ignored);
        assert_eq!(probe.path(at(1_030)), ReceivePath::Stalled);
    }

    #[test]
    fn a_datagram_that_does_not_begin_with_the_secret_or_has_another_length_is_no_probe() {
        let mut probe = ReceiveProbe::new(SECRET);
        let bytes = probe.begin(at(0));
        let mut foreign = bytes;
        foreign[7] ^= 1;
        for datagram in [&foreign[..], &bytes[..15], &[&bytes[..], &[0]].concat()] {
            assert!(!probe.takes(datagram, at(1), ignored));
        }
        assert_eq!(probe.path(at(1)), ReceivePath::Unknown);
    }
}

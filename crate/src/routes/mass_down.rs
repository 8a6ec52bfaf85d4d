//! Many sessions that fall at once: that is probably this host's fault, so their routes wait for a while. Pure.

use std::collections::VecDeque;

use crate::engine::SessionId;
use crate::protocol::time::Time;

/// When routes wait although their sessions are Down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MassDown {
    /// More than this share of the sessions has to fall, from 0 to 1, …
    pub share: f64,
    /// … within this time, in microseconds.
    pub within_us: u64,
    /// So long their routes wait at most, in microseconds.
    pub hold_us: u64,
}

/// That it has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassDownReport {
    /// So many sessions fell …
    pub fallen: usize,
    /// … of so many that were Up.
    pub of: usize,
    /// So long their routes wait at most, in microseconds.
    pub hold_us: u64,
}

/// The sessions that fell lately.
#[derive(Debug, Default)]
pub(crate) struct RecentDowns {
    recent: VecDeque<(Time, SessionId)>,
    held_until: Option<Time>,
}

/// Sessions whose routes wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) until: Time,
    /// Given where the wait has begun with these.
    pub(crate) report: Option<MassDownReport>,
}

impl RecentDowns {
    /// Notes sessions that fell at `now`, while so many others are Up.
    pub(crate) fn fell(&mut self, limit: &MassDown, fallen: &[SessionId], up: usize, now: Time) -> Option<Waiting> {
        self.recent.retain(|(at, id)| now.since(*at) < limit.within_us && !fallen.contains(id));
        self.recent.extend(fallen.iter().map(|id| (now, *id)));
        if let Some(until) = self.held_until.filter(|until| *until > now) {
            return Some(Waiting { sessions: fallen.to_vec(), until, report: None });
        }
        let (fallen, of) = (self.recent.len(), self.recent.len() + up);
        if fallen as f64 <= limit.share * of as f64 {
            return None;
        }
        let until = now.plus(limit.hold_us);
        self.held_until = Some(until);
        let sessions = self.recent.iter().map(|(_, id)| *id).collect();
        Some(Waiting { sessions, until, report: Some(MassDownReport { fallen, of, hold_us: limit.hold_us }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: MassDown = MassDown { share: 0.5, within_us: 100_000, hold_us: 1_000_000 };

    fn at(ms: u64) -> Time {
        Time::from_micros(1_000_000 + ms * 1_000)
    }

    fn ids(ids: impl IntoIterator<Item = u32>) -> Vec<SessionId> {
        ids.into_iter().map(SessionId).collect()
    }

    #[test]
    fn more_than_the_share_of_the_sessions_within_the_time_wait_together_and_those_that_fall_meanwhile() {
        let mut downs = RecentDowns::default();
        assert_eq!(downs.fell(&LIMIT, &ids(1..=5), 5, at(0)), None, "a half is not more than a half");
        let report = Some(MassDownReport { fallen: 6, of: 10, hold_us: 1_000_000 });
        let waiting = Waiting { sessions: ids(1..=6), until: at(1_099), report };
        assert_eq!(downs.fell(&LIMIT, &ids([6]), 4, at(99)), Some(waiting));
        let later = Waiting { sessions: ids([7]), until: at(1_099), report: None };
        assert_eq!(downs.fell(&LIMIT, &ids([7]), 3, at(1_000)), Some(later), "the wait is not prolonged");
        assert_eq!(downs.fell(&LIMIT, &ids([8]), 2, at(1_100)), None);
    }

    #[test]
    fn sessions_that_fall_one_after_the_other_or_the_same_one_again_and_again_are_no_mass() {
        let mut downs = RecentDowns::default();
        for number in 0..10 {
            assert_eq!(downs.fell(&LIMIT, &ids([number]), 1, at(u64::from(number) * 100)), None, "{number}");
        }
        for ms in 0..10 {
            assert_eq!(downs.fell(&LIMIT, &ids([99]), 1, at(10_000 + ms)), None, "{ms}");
        }
    }
}

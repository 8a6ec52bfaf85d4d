//! Flapping sessions: when a route may come back (in the manner of RFC 2439 §4.8). Pure.

use crate::protocol::time::Time;

/// When the route of a session that comes Up again may be installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damping {
    /// So long the session must have been Up, in milliseconds.
    pub hold_up_ms: u32,
    /// What the figure of merit grows by with each Down; 0 stands for no figure.
    pub penalty: u32,
    /// Above this figure the route is suppressed …
    pub suppress_above: u32,
    /// … until it is below this one.
    pub reuse_below: u32,
    /// In this time the figure halves, in milliseconds.
    pub half_life_ms: u32,
    /// The longest suppression after the last Down, in milliseconds.
    pub max_suppress_ms: u32,
}

/// How often a session has flapped lately.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flaps {
    /// The figure of merit at the last Down, and when that was; `None` before the first.
    last_down: Option<(f64, Time)>,
    is_suppressed: bool,
}

impl Damping {
    /// Whether there is nothing that a route waits for.
    pub(crate) fn is_off(&self) -> bool {
        self.hold_up_ms == 0 && self.penalty == 0
    }

    /// No figure is greater: from there it takes the longest suppression to decay.
    fn cap(&self) -> f64 {
        let half_lives = f64::from(self.max_suppress_ms) / f64::from(self.half_life_ms);
        f64::from(self.reuse_below) * half_lives.exp2()
    }
}

impl Flaps {
    /// The session has left Up.
    pub(crate) fn down(&mut self, damping: &Damping, now: Time) {
        let mut figure = 0.0;
        if damping.penalty > 0 {
            figure = (self.figure(damping, now) + f64::from(damping.penalty)).min(damping.cap());
            self.forget_suppression(damping, now);
            self.is_suppressed |= figure > f64::from(damping.suppress_above);
        }
        self.last_down = Some((figure, now));
    }

    /// The session has come Up, after it had left Up before where `again` says so: when its routes may be installed, if not now.
    pub(crate) fn up(&mut self, damping: &Damping, again: bool, now: Time) -> Option<Time> {
        let (figure, at) = self.last_down.or_else(|| again.then_some((0.0, now)))?;
        let held = now.plus(u64::from(damping.hold_up_ms) * 1_000);
        self.forget_suppression(damping, now);
        let mut until = held;
        if self.is_suppressed {
            let half_lives = (figure / f64::from(damping.reuse_below)).log2();
            let wait_us = (half_lives * f64::from(damping.half_life_ms) * 1_000.0).ceil();
            until = held.max(at.plus(wait_us as u64));
        }
        (until > now).then_some(until)
    }

    /// What is left of the figure.
    fn figure(&self, damping: &Damping, now: Time) -> f64 {
        self.last_down.map_or(0.0, |(figure, at)| {
            let half_lives = now.since(at) as f64 / (f64::from(damping.half_life_ms) * 1_000.0);
            figure * (-half_lives).exp2()
        })
    }

    fn forget_suppression(&mut self, damping: &Damping, now: Time) {
        self.is_suppressed &= damping.penalty > 0 && self.figure(damping, now) >= f64::from(damping.reuse_below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAMPING: Damping = Damping {
        hold_up_ms: 0,
        penalty: 1_000,
        suppress_above: 2_000,
        reuse_below: 1_000,
        half_life_ms: 5_000,
        max_suppress_ms: 20_000,
    };

    fn at(ms: u64) -> Time {
        Time::from_micros(1_000_000 + ms * 1_000)
    }

    fn after(downs: impl IntoIterator<Item = u64>, damping: &Damping) -> Flaps {
        let mut flaps = Flaps::default();
        downs.into_iter().for_each(|ms| flaps.down(damping, at(ms)));
        flaps
    }

    #[test]
    fn a_first_up_is_not_delayed_and_a_later_one_by_the_time_that_it_must_last() {
        let damping = Damping { hold_up_ms: 300, ..Damping::default() };
        assert_eq!(Flaps::default().up(&damping, false, at(0)), None);
        assert_eq!(Flaps::default().up(&damping, true, at(0)), Some(at(300)), "before the route was registered");
        assert_eq!(after([0], &damping).up(&damping, false, at(50)), Some(at(350)));
        assert_eq!(after([0], &Damping::default()).up(&Damping::default(), false, at(50)), None);
    }

    #[test]
    fn the_third_down_within_a_half_life_suppresses_until_the_figure_has_decayed() {
        assert_eq!(after([0, 100], &DAMPING).up(&DAMPING, false, at(200)), None, "2 000 less what has decayed");
        let until = after([0, 0, 0], &DAMPING).up(&DAMPING, false, at(200)).unwrap();
        // From 3 000 to 1 000: log2(3) half-lives.
        assert_eq!(until.since(at(0)) / 1_000, 7_924);
        assert_eq!(after([0, 0, 0], &DAMPING).up(&DAMPING, false, at(7_925)), None, "by then it has decayed");
    }

    #[test]
    fn a_figure_above_reuse_that_never_was_above_suppress_suppresses_nothing_and_one_that_was_does_until_it_is_below_reuse()
     {
        assert_eq!(after([0, 0], &DAMPING).up(&DAMPING, false, at(1)), None);
        let mut flaps = after([0, 0, 0], &DAMPING);
        assert!(flaps.up(&DAMPING, false, at(5_000)).is_some(), "1 500: below suppress, above reuse");
        flaps.down(&DAMPING, at(6_000));
        assert!(flaps.up(&DAMPING, false, at(6_100)).is_some());
        assert_eq!(
            after([0, 0, 0, 10_000], &DAMPING).up(&DAMPING, false, at(10_100)),
            None,
            "forgotten, and one Down since"
        );
    }

    #[test]
    fn however_often_a_session_flaps_the_longest_suppression_is_kept() {
        let until = after(std::iter::repeat_n(0, 1_000), &DAMPING).up(&DAMPING, false, at(1)).unwrap();
        assert_eq!(until.since(at(0)) / 1_000, 20_000);
    }

    #[test]
    fn of_both_delays_the_longer_one_counts() {
        let damping = Damping { hold_up_ms: 60_000, ..DAMPING };
        assert_eq!(after([0, 0, 0], &damping).up(&damping, false, at(100)), Some(at(60_100)));
    }
}

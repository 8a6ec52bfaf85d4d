//! Steps the wall clock of this machine, and steps it back after at most one second. Every process on the machine sees it.
//!
//! `step '{"byMs":3600000,"forMs":400}'`
//!
//! Prints `{"stepped":true}`, and `{"stepped":false}` when the clock is right again, as measured by the monotonic clock. Until then it
//! ignores the signals that would end it.

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde::Deserialize;

const LONGEST_MS: u64 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Setup {
    by_ms: i64,
    /// At most 1000.
    for_ms: u64,
}

fn main() -> ExitCode {
    let setup = std::env::args().nth(1).ok_or_else(|| "step wants its settings as JSON".to_owned());
    let outcome = setup.and_then(|text| serde_json::from_str::<Setup>(&text).map_err(|error| error.to_string()));
    match outcome.and_then(|setup| step(&setup).map_err(|errno| errno.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("step: {problem}");
            ExitCode::from(2)
        }
    }
}

fn step(setup: &Setup) -> nix::Result<()> {
    let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGPIPE];
    ends.into_iter().collect::<SigSet>().thread_block()?;
    set(offset()? + i128::from(setup.by_ms) * 1_000_000)?;
    tell(r#"{"stepped":true}"#);
    thread::sleep(Duration::from_millis(setup.for_ms.min(LONGEST_MS)));
    set(offset()? - i128::from(setup.by_ms) * 1_000_000)?;
    tell(r#"{"stepped":false}"#);
    Ok(())
}

/// Prints a line. A closed output is ignored, since the clock still has to be set back.
fn tell(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// How far the wall clock is ahead of the monotonic clock, in nanoseconds.
fn offset() -> nix::Result<i128> {
    Ok(nanos(clock_gettime(ClockId::CLOCK_REALTIME)?) - nanos(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}

fn set(offset: i128) -> nix::Result<()> {
    let wall = nanos(clock_gettime(ClockId::CLOCK_MONOTONIC)?) + offset;
    let (seconds, rest) = (wall.div_euclid(1_000_000_000), wall.rem_euclid(1_000_000_000));
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds as _, rest as _))
}

fn nanos(at: TimeSpec) -> i128 {
    i128::from(at.tv_sec()) * 1_000_000_000 + i128::from(at.tv_nsec())
}

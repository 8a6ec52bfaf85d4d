//! Runs scenarios of the simulator, seed after seed:
//! `cargo run --release --example simulate -- --seeds 10000 --minutes 120 --jobs 2`.
//! `--seed N`, with the sizes that a failure printed, repeats one run.

#[path = "../tests/support/scenarios.rs"]
mod scenarios;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use route_liveness::sim::RouteCounts;
use scenarios::{Dialect, Size, run_seed};

const USAGE: &str =
    "simulate [--protocol NAME] [--seeds N] [--from N] [--minutes N] [--faults N] [--jobs N] [--hours N] [--seed N]

  --protocol NAME  liveness or bfd (liveness)
  --seeds N    so many scenarios (100)
  --from N     the first seed (0)
  --minutes N  simulated minutes of each (60)
  --faults N   at most so many faults in each (60)
  --jobs N     threads (1)
  --hours N    stop after so many hours of real time
  --seed N     this one only";

const PROGRESS: Duration = Duration::from_secs(30);

struct Options {
    dialect: Dialect,
    seeds: u64,
    from: u64,
    minutes: u64,
    faults: u64,
    jobs: u64,
    hours: Option<u64>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { dialect: Dialect::Liveness, seeds: 100, from: 0, minutes: 60, faults: 60, jobs: 1, hours: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            if name == "--protocol" {
                options.dialect = [Dialect::Liveness, Dialect::Bfd]
                    .into_iter()
                    .find(|dialect| dialect.name() == value)
                    .ok_or_else(|| format!("--protocol is liveness or bfd, got `{value}`"))?;
                continue;
            }
            let value: u64 = value.parse().map_err(|_| format!("{name} needs a number, got `{value}`"))?;
            match name.as_str() {
                "--seeds" => options.seeds = value,
                "--from" => options.from = value,
                "--minutes" => options.minutes = value,
                "--faults" => options.faults = value,
                "--jobs" => options.jobs = value.max(1),
                "--hours" => options.hours = Some(value),
                "--seed" => (options.from, options.seeds) = (value, 1),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(options)
    }

    fn size(&self) -> Size {
        Size { duration_us: self.minutes * 60_000_000, faults: self.faults as usize }
    }
}

/// The sums over all seeds.
#[derive(Default)]
struct Sum {
    next: AtomicU64,
    done: AtomicU64,
    session_us: AtomicU64,
    transitions: AtomicU64,
    steps: AtomicU64,
    routes: Mutex<RouteCounts>,
    failed: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Sum {
    fn work(&self, options: &Options, stop_at: Option<Instant>) {
        while !self.failed.load(Ordering::Relaxed) && stop_at.is_none_or(|at| Instant::now() < at) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= options.seeds {
                return;
            }
            match run_seed(options.from + number, options.size(), options.dialect) {
                Ok(totals) => {
                    self.session_us.fetch_add(totals.session_us, Ordering::Relaxed);
                    self.transitions.fetch_add(totals.transitions, Ordering::Relaxed);
                    self.steps.fetch_add(totals.steps, Ordering::Relaxed);
                    self.routes.lock().expect("no holder of this lock panics").add(&totals.routes);
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                Err(text) => {
                    self.failed.store(true, Ordering::Relaxed);
                    self.failures.lock().expect("no holder of this lock panics").push(text);
                }
            }
        }
    }

    fn tell(&self, began: Instant) {
        println!(
            "{} seeds, {} session-hours, {} transitions, {} steps in {} s",
            self.done.load(Ordering::Relaxed),
            self.session_us.load(Ordering::Relaxed) / 3_600_000_000,
            self.transitions.load(Ordering::Relaxed),
            self.steps.load(Ordering::Relaxed),
            began.elapsed().as_secs()
        );
        let routes = *self.routes.lock().expect("no holder of this lock panics");
        println!("  routes: {routes:?}");
    }
}

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let stop_at = options.hours.map(|hours| began + Duration::from_secs(hours * 3_600));
    let sum = Sum::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(|| sum.work(&options, stop_at))).collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            if told.elapsed() >= PROGRESS {
                sum.tell(began);
                told = Instant::now();
            }
        }
    });
    sum.tell(began);
    let failures = sum.failures.into_inner().expect("no holder of this lock panics");
    for failure in &failures {
        eprintln!("\n{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

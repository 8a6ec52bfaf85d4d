//! The class for a simulated world: times are in milliseconds, hosts have numbers from 1.

use napi_derive::napi;

use crate::addon::errors::{Coded, coded};
use crate::protocol::rules::{REFERENCE, ROBUST};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::sim::{HostId, HostSpec, PairId, Quality, RunError, ScenarioError, World};

type Result<T> = std::result::Result<T, Coded>;

#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NativeQuality {
    pub delay: Option<f64>,
    pub jitter: Option<f64>,
    pub loss: Option<f64>,
    pub duplicate: Option<f64>,
    pub reorder: Option<f64>,
    pub corrupt: Option<f64>,
}

#[napi(object, object_to_js = false)]
pub struct NativeHostSpec {
    pub rules: Option<String>,
    pub min_tx_floor: Option<f64>,
    pub max_tx_ceil: Option<f64>,
    pub backoff_max: Option<f64>,
    pub passive: Option<bool>,
    pub clock_ppm: Option<i32>,
    pub lateness: Option<f64>,
}

#[napi(object, object_to_js = false)]
pub struct NativeSimTimers {
    pub tx_min: f64,
    pub rx_min: f64,
    pub detect_mult: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeSimTransition {
    pub at: f64,
    pub host: u32,
    pub pair: u32,
    pub from: &'static str,
    pub to: &'static str,
    pub reason: &'static str,
    pub cause: &'static str,
    pub local_stall: f64,
}

#[napi]
pub struct NativeSimulation {
    world: World,
    began: Time,
}

#[napi]
impl NativeSimulation {
    #[napi(constructor)]
    pub fn new(seed: f64, quality: NativeQuality) -> Result<Self> {
        let seed = whole("seed", seed, 0.0, MAX_SAFE_INTEGER)?;
        let world = World::new(seed, quality.read()?).watched();
        Ok(Self { began: world.now, world })
    }

    #[napi]
    pub fn add_host(&mut self, spec: NativeHostSpec) -> Result<u32> {
        if self.world.hosts.len() >= MOST_HOSTS {
            return Err(refused("hosts", "are 254, the most that a simulation can have"));
        }
        Ok(u32::from(self.world.add_host(spec.read()?).0))
    }

    /// Adds a pair of sessions between two hosts.
    #[napi]
    pub fn connect(&mut self, one: u32, other: u32, timers: NativeSimTimers, others: NativeSimTimers) -> Result<u32> {
        let hosts = [self.host("one", one)?, self.host("other", other)?];
        if one == other {
            return Err(refused("other", "is the same host"));
        }
        Ok(self.world.add_pair(hosts, [timers.read()?, others.read()?], [&[], &[]]).0)
    }

    #[napi]
    pub fn set_quality(&mut self, from: u32, to: u32, quality: NativeQuality) -> Result<()> {
        let (from, to) = (self.host("from", from)?, self.host("to", to)?);
        self.world.set_quality(from, to, quality.read()?);
        Ok(())
    }

    #[napi]
    pub fn cut(&mut self, from: u32, to: u32) -> Result<()> {
        let (from, to) = (self.host("from", from)?, self.host("to", to)?);
        self.world.cut(from, to);
        Ok(())
    }

    #[napi]
    pub fn heal(&mut self, from: u32, to: u32) -> Result<()> {
        let (from, to) = (self.host("from", from)?, self.host("to", to)?);
        self.world.heal(from, to);
        Ok(())
    }

    #[napi]
    pub fn restart(&mut self, host: u32, pause: f64) -> Result<()> {
        let (host, pause_us) = (self.host("host", host)?, micros("pause", pause)?);
        self.world.restart(host, pause_us, false);
        Ok(())
    }

    #[napi]
    pub fn stall(&mut self, host: u32, duration: f64) -> Result<()> {
        let (host, us) = (self.host("host", host)?, micros("duration", duration)?);
        self.world.stall(host, us);
        Ok(())
    }

    #[napi]
    pub fn set_admin_down(&mut self, pair: u32, host: u32, down: bool) -> Result<()> {
        let (pair, host) = (self.pair(pair)?, self.host("host", host)?);
        let side = self.world.pair(pair).hosts.iter().position(|end| *end == host);
        let side = side.ok_or_else(|| refused("host", "is not in this pair"))?;
        self.world.admin(pair, side, down);
        Ok(())
    }

    /// Runs for this time, and returns its transitions in order.
    #[napi]
    pub fn run(&mut self, duration: f64) -> Result<Vec<NativeSimTransition>> {
        let us = micros("duration", duration)?;
        self.world.run(us).map_err(|violation| coded("ERR_SIMULATION", RunError::from(violation).to_string()))?;
        let mut transitions = Vec::new();
        for host in self.world.hosts_mut() {
            for to in std::mem::take(&mut host.transitions) {
                transitions.push(NativeSimTransition {
                    at: millis(host.clock.world(to.at).since(self.began)),
                    host: u32::from(host.id.0),
                    pair: to.id.0,
                    from: to.from.name(),
                    to: to.to.name(),
                    reason: to.reason.name(),
                    cause: to.cause.name(),
                    local_stall: millis(to.local_stall_us),
                });
            }
            host.sent.clear();
        }
        transitions.sort_by(|a, b| a.at.total_cmp(&b.at));
        Ok(transitions)
    }

    /// The state of each side; null if the process does not run.
    #[napi(ts_return_type = "(State | null)[]")]
    pub fn states(&self, pair: u32) -> Result<Vec<Option<&'static str>>> {
        Ok(self.world.states(self.pair(pair)?).map(|state| state.map(State::name)).into())
    }

    /// Simulated milliseconds since the beginning.
    #[napi(getter)]
    pub fn now(&self) -> f64 {
        millis(self.world.now.since(self.began))
    }

    fn host(&self, field: &str, number: u32) -> Result<HostId> {
        let known =
            u8::try_from(number).ok().filter(|number| (1..=self.world.hosts.len()).contains(&usize::from(*number)));
        known.map(HostId).ok_or_else(|| refused(field, &format!("is {number}, and there is no such host")))
    }

    fn pair(&self, number: u32) -> Result<PairId> {
        let known = self.world.pair_ids().find(|pair| pair.0 == number);
        known.ok_or_else(|| refused("pair", &format!("is {number}, and there is no such pair")))
    }
}

const MOST_HOSTS: usize = 254;
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
/// One year.
const LONGEST_MS: f64 = 366.0 * 86_400_000.0;

impl NativeQuality {
    fn read(&self) -> Result<Quality> {
        Ok(Quality {
            delay_us: micros("delay", self.delay.unwrap_or(0.0))?,
            jitter_us: micros("jitter", self.jitter.unwrap_or(0.0))?,
            loss_ppm: share("loss", self.loss)?,
            duplicate_ppm: share("duplicate", self.duplicate)?,
            reorder_ppm: share("reorder", self.reorder)?,
            corrupt_ppm: share("corrupt", self.corrupt)?,
        })
    }
}

impl NativeHostSpec {
    fn read(&self) -> Result<HostSpec> {
        let usual = HostSpec::default();
        let interval = |field: &str, given: Option<f64>, usual: u32| -> Result<u32> {
            given.map_or(Ok(usual), |ms| Ok(whole(field, ms * 1_000.0, 1.0, 3_600_000_000.0)? as u32))
        };
        let spec = HostSpec {
            rules: match self.rules.as_deref() {
                None | Some("robust") => &ROBUST,
                Some("reference") => &REFERENCE,
                Some(other) => {
                    return Err(refused("rules", &format!("is '{other}', and has to be 'robust' or 'reference'")));
                }
            },
            min_tx_floor_us: interval("minTxFloor", self.min_tx_floor, usual.min_tx_floor_us)?,
            max_tx_ceil_us: interval("maxTxCeil", self.max_tx_ceil, usual.max_tx_ceil_us)?,
            backoff_max_us: interval("backoffMax", self.backoff_max, usual.backoff_max_us)?,
            passive: self.passive.unwrap_or_default(),
            clock_ppm: self.clock_ppm.unwrap_or_default(),
            lateness_us: micros("lateness", self.lateness.unwrap_or(0.0))?,
            ..usual
        };
        spec.validate().map_err(from_scenario)?;
        Ok(spec)
    }
}

impl NativeSimTimers {
    fn read(&self) -> Result<Timers> {
        let interval = |field: &str, ms: f64| Ok::<u32, Coded>(whole(field, ms * 1_000.0, 1.0, 60_000_000.0)? as u32);
        Ok(Timers {
            tx_min_us: interval("txMin", self.tx_min)?,
            rx_min_us: interval("rxMin", self.rx_min)?,
            detect_mult: whole("detectMult", self.detect_mult, 1.0, 255.0)? as u8,
        })
    }
}

fn micros(field: &str, ms: f64) -> Result<u64> {
    if (0.0..=LONGEST_MS).contains(&ms) {
        return Ok((ms * 1_000.0).round() as u64);
    }
    Err(refused(field, &format!("is {ms}, and has to be from 0 to {LONGEST_MS} milliseconds")))
}

fn millis(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Converts a probability from 0 to 1 to parts per million.
fn share(field: &str, given: Option<f64>) -> Result<u32> {
    let given = given.unwrap_or(0.0);
    if (0.0..=1.0).contains(&given) {
        return Ok((given * 1_000_000.0).round() as u32);
    }
    Err(refused(field, &format!("is {given}, and has to be from 0 to 1")))
}

fn whole(field: &str, given: f64, least: f64, most: f64) -> Result<u64> {
    if (least..=most).contains(&given) {
        return Ok(given.round() as u64);
    }
    Err(refused(field, &format!("is {given}, and has to be from {least} to {most}")))
}

fn refused(field: &str, problem: &str) -> Coded {
    coded("ERR_CONFIG", format!("`{field}` {problem}"))
}

fn from_scenario(error: ScenarioError) -> Coded {
    coded("ERR_CONFIG", error.to_string())
}

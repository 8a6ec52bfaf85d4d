//! The simulator's invariants hold for some random scenarios; `examples/simulate.rs` runs more.

#[path = "support/scenarios.rs"]
mod scenarios;

use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::{Fault, HostSpec, PairSpec, Quality, RunError, Scenario, Timed};
use scenarios::{Dialect, Size, run_seed};

const MINUTE: u64 = 60_000_000;

#[test]
fn random_scenarios_violate_no_invariant() {
    let size = Size { duration_us: 4 * MINUTE, faults: 30 };
    for seed in 0..40 {
        for dialect in [Dialect::Liveness, Dialect::Bfd] {
            run_seed(seed, size, dialect).unwrap_or_else(|text| panic!("{text}"));
        }
    }
}

fn scenario() -> Scenario {
    let timers = Timers { tx_min_us: 100_000, rx_min_us: 100_000, detect_mult: 3 };
    Scenario {
        seed: 1,
        hosts: vec![HostSpec::default(); 2],
        pairs: vec![PairSpec {
            hosts: [0, 1],
            timers: [timers; 2],
            routes: [Vec::new(), Vec::new()],
            bfd: <_>::default(),
        }],
        quality: Quality { delay_us: 1_000, ..Quality::default() },
        duration_us: MINUTE,
        faults: vec![Timed { at_us: MINUTE / 2, fault: Fault::Restart { host: 1, pause_us: 0, adopts: false } }],
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let size = Size { duration_us: MINUTE, faults: 20 };
    for dialect in [Dialect::Liveness, Dialect::Bfd] {
        for seed in 0..5 {
            assert_eq!(run_seed(seed, size, dialect), run_seed(seed, size, dialect));
        }
    }
    let other = Scenario { seed: 2, ..scenario() };
    assert_ne!(scenario().run().unwrap().steps, other.run().unwrap().steps, "and another seed is another run");
}

#[test]
fn an_invalid_scenario_is_refused_with_the_name_of_its_field() {
    let changed = |change: fn(&mut Scenario)| {
        let mut wrong = scenario();
        change(&mut wrong);
        match wrong.run() {
            Err(RunError::Scenario(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(changed(|scenario| scenario.hosts.clear()), "`hosts` is 0, and has to be from 1 to 254");
    assert_eq!(changed(|scenario| scenario.pairs[0].hosts = [1, 1]), "`pairs[0].hosts` names one host twice");
    assert_eq!(changed(|scenario| scenario.pairs[0].hosts = [0, 7]), "`pairs[0].host` is 7, and has to be from 0 to 1");
    let text = changed(|scenario| scenario.pairs[0].timers[0].detect_mult = 0);
    assert_eq!(text, "`pairs[0].timers.detect_mult` is 0, and has to be from 1 to 255");
    let text = changed(|scenario| scenario.quality.loss_ppm = 1_000_001);
    assert_eq!(text, "`quality.loss_ppm` is 1000001, and has to be from 0 to 1000000");
    let text = changed(|scenario| scenario.faults[0].at_us = 61_000_000);
    assert_eq!(text, "`faults[0].at_us` is 61000000, and has to be from 0 to 60000000");
    let text = changed(|scenario| scenario.faults[0].fault = Fault::AdminDown { pair: 1, side: 0 });
    assert_eq!(text, "`faults[0].pair` is 1, and has to be from 0 to 0");
    let text = changed(|scenario| scenario.hosts[1].read_budget = 0);
    assert_eq!(text, "`hosts[1].read_budget` is 0, and has to be from 1 to 1048576");
}

/// One host has sessions with many dead hosts and two live ones. Packets to dead hosts wait in the send buffer.
fn among_the_dead(send_room: usize) -> Scenario {
    const DEAD: usize = 30;
    let timers = Timers { tx_min_us: 100_000, rx_min_us: 100_000, detect_mult: 3 };
    let pair = |host: usize| PairSpec {
        hosts: [0, host],
        timers: [timers; 2],
        routes: [Vec::new(), Vec::new()],
        bfd: <_>::default(),
    };
    let cut = |host: usize| Timed { at_us: 10_000_000, fault: Fault::CutBoth { hosts: [0, host] } };
    Scenario {
        hosts: [vec![HostSpec { send_room, ..HostSpec::default() }], vec![HostSpec::default(); DEAD + 2]].concat(),
        pairs: (1..DEAD + 3).map(pair).collect(),
        faults: (1..=DEAD).map(cut).collect(),
        ..scenario()
    }
}

#[test]
fn dead_neighbours_fill_the_send_buffer_and_no_session_that_is_up_changes_its_state() {
    // Each dead host is sent one packet a second, which waits for three seconds: more than the send buffer holds.
    let totals = among_the_dead(60).run().unwrap_or_else(|error| panic!("{error}"));
    let without_limit = among_the_dead(1 << 20).run().unwrap();
    assert_eq!(totals.session_us, without_limit.session_us);
}

#[test]
fn a_pair_of_bfd_sessions_stays_up_whenever_the_timers_of_either_side_change() {
    // Side 0 tells its timers every 300 ms, longer than its detection time of 150 ms.
    let usual = [
        Timers { tx_min_us: 300_000, rx_min_us: 50_000, detect_mult: 3 },
        Timers { tx_min_us: 50_000, rx_min_us: 300_000, detect_mult: 3 },
    ];
    let slow_receiver = Timers { rx_min_us: 1_000_000, ..usual[0] };
    let slow_sender = Timers { tx_min_us: 1_000_000, ..usual[1] };
    let change = |(step, (side, timers)): (u64, (usize, Timers))| Timed {
        // At another phase of the peer's packets each time.
        at_us: 10_000_000 + step * 5_017_000,
        fault: Fault::Timers { pair: 0, side, timers },
    };
    let cycle = [(0, slow_receiver), (0, usual[0]), (1, slow_sender), (1, usual[1])];
    let scenario = Scenario {
        pairs: vec![PairSpec { timers: usual, ..scenario().pairs[0].clone() }],
        quality: Quality { delay_us: 40_000, ..Quality::default() },
        duration_us: 10 * MINUTE,
        faults: (0..110).zip(cycle.into_iter().cycle()).map(change).collect(),
        ..scenario()
    };
    for seed in 1..=8 {
        let totals = Scenario { seed, ..scenario.clone() }.run_as::<Bfd>().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(totals.transitions, 6, "each session is added, and goes to Init and to Up");
    }
}

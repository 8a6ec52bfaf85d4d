//! Replays scenarios, so that another core can be compared with this one (`test/conformance/differential.test.ts`). Each line of
//! the input is a scenario in JSON; each line of the output has what was observed after each of its steps.

#[path = "../tests/support/replay.rs"]
mod replay;

use std::error::Error;
use std::io::{BufRead, Write};

use replay::{Replay, Scenario};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let scenario: Scenario = serde_json::from_str(&line?)?;
        let mut replay = Replay::new(&scenario);
        let observed: Vec<Value> = scenario
            .steps
            .iter()
            .map(|step| {
                replay.apply(&scenario, step);
                replay.observed()
            })
            .collect();
        serde_json::to_writer(&mut output, &observed)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

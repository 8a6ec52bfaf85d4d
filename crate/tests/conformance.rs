//! Replays the scenarios of `test/conformance/scenarios`, which have timed inputs and expected outputs. The TypeScript core
//! replays the same files, so both engines agree on every byte and every deadline.
//!
//! `UPDATE_SCENARIOS=1 cargo test --test conformance` writes the current outputs into the files. Read the difference before
//! you commit it.

#[path = "support/replay.rs"]
mod replay;

use std::fs;
use std::path::PathBuf;

use replay::{Replay, Scenario};
use serde_json::Value;

#[test]
fn every_scenario_gives_its_expected_outputs() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/conformance/scenarios");
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("the scenarios").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "only {} scenarios in {}", files.len(), folder.display());
    for file in files {
        let mut document: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).expect("JSON");
        let scenario: Scenario =
            serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut replay = Replay::new(&scenario);
        for (at, step) in scenario.steps.iter().enumerate() {
            replay.apply(&scenario, step);
            let observed = replay.observed();
            if update {
                document["steps"][at]["expect"] = observed;
            } else {
                let expected = &document["steps"][at]["expect"];
                assert_eq!(&observed, expected, "{}: step {at}, at {} us", file.display(), step.at_us);
            }
        }
        if update {
            fs::write(&file, serde_json::to_string_pretty(&document).unwrap() + "\n").unwrap();
        }
    }
}

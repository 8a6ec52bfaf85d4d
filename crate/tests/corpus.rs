//! Replays the fuzzer's corpus with the stable compiler: no input makes the code panic.

#[allow(unreachable_pub, reason = "it is public in the crate of the fuzzer")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

fn replay(name: &str, run: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let inputs: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    for input in inputs {
        println!("{}", input.display());
        run(&fs::read(&input).expect("a readable input"));
    }
}

#[test]
fn every_input_of_the_corpus_is_decoded_or_refused() {
    replay("decode", targets::decode::run);
}

#[test]
fn every_script_of_the_corpus_of_bfd_leaves_the_invariants_of_the_engine_intact() {
    replay("bfd", targets::bfd::run);
}

#[test]
fn every_script_of_the_corpus_leaves_the_invariants_of_the_engine_intact() {
    replay("engine", targets::engine::run);
}

#[test]
fn every_netlink_message_of_the_corpus_is_read_or_ignored() {
    replay("netlink", targets::netlink::run);
}

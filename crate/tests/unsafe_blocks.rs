//! `unsafe` is used only where the kernel's interface requires it, and in the allocator. Clippy checks that each block covers one operation and has
//! its reason. To add a block, change the list below.

use std::fs;
use std::path::{Path, PathBuf};

const BLOCKS: [(&str, usize); 14] = [
    ("net/batch_calls.rs", 4),
    ("net/cells.rs", 2),
    ("net/packet_info.rs", 13),
    ("net/repeat_filter.rs", 1),
    ("net/rx_socket.rs", 1),
    ("net/socket.rs", 1),
    ("net/socket_address.rs", 2),
    ("net/socket_options.rs", 1),
    ("net/tx_socket.rs", 1),
    ("system/big_blocks.rs", 16),
    ("system/bpf.rs", 2),
    ("system/realtime.rs", 3),
    ("system/socket_option.rs", 1),
    ("system/state_file.rs", 1),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("a readable entry").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn count(source: &Path) -> usize {
    let text = fs::read_to_string(source).expect("a readable file");
    let code = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    code.flat_map(str::split_whitespace).filter(|word| word.trim_matches(['(', '{']) == "unsafe").count()
}

#[test]
fn only_the_listed_files_use_unsafe_and_no_more_often_than_listed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: Vec<(String, usize)> = sources(&folder)
        .into_iter()
        .map(|path| (path.strip_prefix(&folder).expect("a file below").display().to_string(), count(&path)))
        .filter(|(_, count)| *count > 0)
        .collect();
    found.sort();
    assert_eq!(found, BLOCKS.map(|(file, count)| (file.to_owned(), count)));
}

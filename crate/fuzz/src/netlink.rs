//! Reads arbitrary netlink messages: each is read or ignored, and every request has one answer.

use route_liveness::net::links::read_changes;
use route_liveness::routes::answers::Answers;
use route_liveness::routes::listing::{ListedTables, Listing, from_message};
use route_liveness::routes::monitor::Notices;

/// Reads `data`: the first byte selects the reader, the next two give the sizes of two reads.
///
/// # Panics
/// If a reader panics or miscounts the answers.
pub fn run(data: &[u8]) {
    let [kind, size, rest @ ..] = data else { return };
    let (first, second) = rest.split_at((usize::from(*size) * 8).min(rest.len()));
    match kind % 3 {
        0 => {
            const REQUESTS: usize = 3;
            let mut answers = Answers::new(1, REQUESTS);
            let mut before = REQUESTS;
            for buffer in [first, second] {
                answers.take_in(buffer);
                assert!(answers.missing() <= before, "an answer is counted once");
                before = answers.missing();
            }
            assert_eq!(answers.into_results().len(), REQUESTS);
        }
        1 => {
            let mut listed = Vec::new();
            let mut listing = Listing::new(1, &mut listed);
            listing.take_in(first);
            listing.take_in(second);
            let _ = listing.is_consistent();
            let mut tables = ListedTables::default();
            for message in &listed {
                tables.take_in(message);
                if let Some(route) = from_message(message) {
                    assert!(tables.holds(&route), "what is listed is held");
                }
            }
        }
        _ => {
            let _ = read_changes(rest);
            let mut notices = Notices::default();
            notices.read(first, 0);
            notices.read(second, 0);
        }
    }
}

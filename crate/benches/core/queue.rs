//! The queue with the deadlines of many sessions: takes the earliest, and sets it one interval later.

use criterion::{BenchmarkId, Criterion};
use route_liveness::engine::queue::{DeadlineQueue, Due};
use route_liveness::protocol::time::Time;

const INTERVAL_US: u64 = 100_000;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/next");
    for sessions in [1_000, 100_000] {
        let mut queue = DeadlineQueue::new();
        for slot in 0..sessions {
            let at = Time::from_micros(INTERVAL_US + u64::from(slot) * INTERVAL_US / u64::from(sessions));
            queue.set(slot, Due::Transmit, at);
            queue.set(slot, Due::Detect, at.plus(2 * INTERVAL_US));
        }
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter(|| {
                let next = queue.peek().expect("every entry that is taken is set again");
                let (slot, due, at) = queue.first_due(next, next).expect("the earliest is due");
                queue.set(slot, due, at.plus(INTERVAL_US));
            });
        });
    }
    group.finish();
}

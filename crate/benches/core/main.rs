//! `cargo bench`: what the parts of the core cost, each by itself. Whether a change made the whole dearer is counted, not
//! timed: `npm run bench:check`.

mod codec;
mod queue;
mod turn;

use criterion::{criterion_group, criterion_main};

criterion_group!(core, codec::benches, queue::benches, turn::benches);
criterion_main!(core);

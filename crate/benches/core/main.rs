//! `cargo bench`: the time that each part of the core takes. `npm run bench:check` counts instructions to find out whether a change
//! made the whole slower.

mod codec;
mod queue;
mod turn;

use criterion::{criterion_group, criterion_main};

criterion_group!(core, codec::benches, queue::benches, turn::benches);
criterion_main!(core);

//! The locks and flags of what threads share: the system's, or under `--cfg loom` those of a model checker that tries
//! every order in which the threads may come.

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};

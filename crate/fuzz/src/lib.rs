//! The functions that the fuzzer runs. They take bytes, so that the crate's tests can replay the corpus with a stable
//! compiler.

pub mod bfd;
pub mod decode;
pub mod engine;
pub mod netlink;
mod script;

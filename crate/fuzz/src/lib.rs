//! What the fuzzer runs. The targets are plain functions of bytes, so that the crate's tests replay the corpus with the
//! compiler that everybody has.

pub mod decode;
pub mod engine;
pub mod netlink;

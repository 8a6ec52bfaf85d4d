#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| route_liveness_fuzz::bfd::run(data));

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::jitter_ops(data));

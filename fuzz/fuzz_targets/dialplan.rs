#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem::dialplan::fuzz::dialplan(data));

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::sip_stream(data));

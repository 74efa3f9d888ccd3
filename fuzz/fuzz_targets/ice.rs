#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| webrtc_lite::fuzz::ice(data));

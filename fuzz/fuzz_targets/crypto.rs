#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sip::fuzz::crypto(data);
});

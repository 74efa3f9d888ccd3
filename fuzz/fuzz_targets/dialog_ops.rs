#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzz::dialog_ops(data));

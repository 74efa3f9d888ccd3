#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::sealed(data, &media::file::seal::Key::new([1; 32]), &[]));

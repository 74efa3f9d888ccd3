#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // What the example of the mutation tests holds, with its key.
    let plain: [u8; 256] = std::array::from_fn(|n| n as u8);
    media::fuzz::sealed(data, &media::file::seal::Key::new([1; 32]), &plain);
});

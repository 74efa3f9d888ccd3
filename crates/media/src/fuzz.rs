//! Fuzz bodies: what a fuzzer calls with bytes, compiled with every build.

//! L16: 16-bit samples in network order, uncompressed (RFC 3551 §4.5.11).

/// Decodes two bytes a sample, as many as both slices have; gives the samples written.
pub fn decode(payload: &[u8], out: &mut [i16]) -> usize {
    let (pairs, _) = payload.as_chunks::<2>();
    for (sample, &pair) in out.iter_mut().zip(pairs) {
        *sample = i16::from_be_bytes(pair);
    }
    out.len().min(pairs.len())
}

/// Encodes two bytes a sample, as many as both slices have; gives the bytes written.
pub fn encode(samples: &[i16], out: &mut [u8]) -> usize {
    let (pairs, _) = out.as_chunks_mut::<2>();
    let count = pairs.len().min(samples.len());
    for (pair, &sample) in pairs.iter_mut().zip(samples) {
        *pair = sample.to_be_bytes();
    }
    2 * count
}

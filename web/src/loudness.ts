// How loud samples are.

/** From 0 at -60 dB to 1 at full scale, by the RMS of samples. */
export function loudness(samples: ArrayLike<number>): number {
  let energy = 0;
  for (let n = 0; n < samples.length; n += 1) energy += (samples[n] ?? 0) ** 2;
  const rms = Math.sqrt(energy / Math.max(samples.length, 1));
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(Math.max(rms, 1e-9))) / 60));
}

// Tones in G.711 µ-law: making them, and finding out which one is heard (ITU-T G.711, Goertzel).

const BIAS = 0x84;

/** One µ-law byte of a sample from -1 to 1. */
export function encode(sample) {
  let value = Math.round(Math.max(-1, Math.min(1, sample)) * 32635);
  const sign = value < 0 ? 0x80 : 0;
  value = Math.min(Math.abs(value), 32635) + BIAS;
  let exponent = 7;
  for (let mask = 0x4000; (value & mask) === 0 && exponent > 0; mask >>= 1) exponent -= 1;
  return ~(sign | (exponent << 4) | ((value >> (exponent + 3)) & 0x0f)) & 0xff;
}

/** The sample, from -1 to 1, of a µ-law byte. */
export function decode(byte) {
  const bits = ~byte & 0xff;
  const value = ((((bits & 0x0f) << 3) + BIAS) << ((bits >> 4) & 7)) - BIAS;
  return (bits & 0x80 ? -value : value) / 32768;
}

/** How much of `samples` (at `rate` Hz) is a tone of `hz`: 1 is all of it; the RMS of both. */
export function tone(samples, rate, hz) {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / rate);
  let [s1, s2, energy] = [0, 0, 0];
  for (const sample of samples) {
    [s1, s2] = [sample + coefficient * s1 - s2, s1];
    energy += sample * sample;
  }
  const n = samples.length;
  const power = (2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2)) / n;
  const toneRms = Math.sqrt(Math.max(power, 0) / n);
  return { share: energy > 0 ? power / energy : 0, rms: Math.sqrt(energy / n), toneRms };
}

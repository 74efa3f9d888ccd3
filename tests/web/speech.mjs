// Synthetic speech (espeak-ng) at 8 kHz, and how loud a piece of sound is.

import { execFileSync } from "node:child_process";

const RATE = 8_000;
/** How loud it is made, in dBFS. */
export const SPOKEN = -20;
/** What is told of silence. */
const FLOOR = -96;
/** Samples to either side that a sample at the new rate is made of. */
const REACH = 32;

/** How loud samples from -1 to 1 are, in dBFS (RMS). */
export function dbfs(samples) {
  const energy = samples.reduce((sum, it) => sum + it * it, 0) / Math.max(samples.length, 1);
  return Math.max(10 * Math.log10(energy), FLOOR);
}

/** So many seconds of speech, without silence before it. */
export function speech(voice, seconds) {
  const made = execFileSync("espeak-ng", ["-v", voice, "-s", "165", "--stdout", TEXT], { maxBuffer: 1 << 26 });
  const ratio = made.readUInt32LE(24) / RATE;
  const all = new Int16Array(made.buffer.slice(made.byteOffset + 44, made.byteOffset + (made.length & ~1)));
  const from = all.findIndex((it) => Math.abs(it) > 100);
  const spoken = Array.from({ length: seconds * RATE }, (_, n) => between(all, from + n * ratio, ratio) / 32_768);
  const gain = 10 ** ((SPOKEN - dbfs(spoken)) / 20);
  return spoken.map((it) => it * gain);
}

/** The sound at a place between samples, without what the lower rate cannot carry. */
function between(samples, place, ratio) {
  const middle = Math.floor(place);
  let sum = 0;
  for (let n = middle - REACH; n < middle + REACH; n += 1) {
    const off = place - n;
    const x = (Math.PI * off) / ratio;
    const weight = Math.abs(x) < 1e-9 ? 1 : Math.sin(x) / x;
    sum += (samples[n] ?? 0) * weight * Math.cos((0.5 * Math.PI * off) / (REACH + 1)) ** 2;
  }
  return sum / ratio;
}

const TEXT = `Good morning, you have reached the service desk of the city works.
I would like to ask about the bill that came on Tuesday.
Please tell me your customer number, and then the street where you live.
Our opening hours are from eight in the morning until six in the evening.
We will send a technician on Friday between ten and twelve.
The invoice has been paid, and the reminder was sent by mistake.
All of our agents are busy. Your call will be answered in turn.`;

// What an end of a call has heard: G.711 µ-law packet by packet, and the keys that came (RFC 4733).

import { until } from "./server.mjs";
import { decode, tone } from "./sound.mjs";

/** Of a packet of 20 ms. */
export const SAMPLES = 160;
/** The payload type of telephone-event, as we offer it. */
export const EVENTS = 101;
export const KEYS = "0123456789*#ABCD";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Hearing {
  /** Every sample. */
  heard = [];
  /** When each packet came. */
  times = [];
  /** Packets of sound. */
  received = 0;
  /** The keys that came. */
  keys = "";

  onPacket(bytes) {
    if (bytes.length < 12 || bytes[0] >> 6 !== 2) return;
    const type = bytes[1] & 0x7f;
    if (type === EVENTS) this.#onEvent(bytes);
    if (type !== 0) return;
    this.received += 1;
    this.times.push(performance.now());
    for (const byte of bytes.subarray(12)) this.heard.push(decode(byte));
  }

  /** A key that came: each of its packets has the time of its beginning. */
  #onEvent(bytes) {
    const began = bytes.readUInt32BE(4);
    if (began === this.latestKey) return;
    this.latestKey = began;
    this.keys += KEYS[bytes[12]] ?? "?";
  }

  /** What was heard in the latest `seconds`. */
  ear(hz, seconds = 1) {
    const samples = this.heard.slice(-8_000 * seconds);
    return { ...tone(samples, 8_000, hz), samples: samples.length };
  }

  /** What was heard since so many samples. */
  since(mark, hz) {
    const samples = this.heard.slice(mark);
    return { ...tone(samples, 8_000, hz), samples: samples.length, gap: this.gap(hz, Math.floor(mark / SAMPLES)) };
  }

  /** The longest time without the tone in what was heard since `from` packets, in ms. */
  gap(hz, from = 0) {
    let [longest, now] = [0, 0];
    for (let at = from * SAMPLES; at + SAMPLES <= this.heard.length; at += SAMPLES) {
      const part = tone(this.heard.slice(at, at + SAMPLES), 8_000, hz);
      now = part.share > 0.5 && part.rms > 0.02 ? 0 : now + 20;
      longest = Math.max(longest, now);
    }
    return longest;
  }

  /** The longest time by the clock from one packet with the tone to the next, since `from` packets, in ms. */
  silence(hz, from = 0) {
    let [longest, latest] = [0, this.times[from] ?? 0];
    for (let n = from; (n + 1) * SAMPLES <= this.heard.length; n += 1) {
      const part = tone(this.heard.slice(n * SAMPLES, (n + 1) * SAMPLES), 8_000, hz);
      if (part.share < 0.5 || part.rms < 0.02) continue;
      longest = Math.max(longest, this.times[n] - latest);
      latest = this.times[n];
    }
    return longest;
  }

  /** Half a second of that tone, among others or alone, from now on. */
  async hears(hz, limit = 8_000) {
    let mark = this.heard.length;
    await until(`${hz} Hz at the ${this.name}`, limit, () => {
      if (this.heard.length - mark < 4_000) return false;
      const came = this.heard.slice(mark);
      mark = this.heard.length;
      return tone(came, 8_000, hz).toneRms > 0.2;
    });
  }

  /** Within 400 ms nothing of that tone comes, or nothing at all. */
  async hearsNo(hz, limit = 6_000) {
    await until(`no ${hz} Hz at the ${this.name}`, limit, async () => {
      const mark = this.heard.length;
      await pause(400);
      const came = this.heard.slice(mark);
      return came.length < SAMPLES || tone(came, 8_000, hz).toneRms < 0.01;
    });
  }

  /** The longest time without that tone within so many ms, by the clock. */
  async longestWithout(hz, ms) {
    const began = performance.now();
    let [mark, latest, longest] = [this.heard.length, began, 0];
    while (performance.now() - began < ms) {
      await pause(40);
      const came = this.heard.slice(mark);
      mark = this.heard.length;
      const now = performance.now();
      if (came.length >= SAMPLES && tone(came, 8_000, hz).toneRms > 0.1) latest = now;
      longest = Math.max(longest, now - latest);
    }
    return longest;
  }
}

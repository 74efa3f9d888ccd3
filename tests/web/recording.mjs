// What is in a recording: a WAV file of two sides, and where each of them has a tone.

import assert from "node:assert/strict";
import { tone } from "./sound.mjs";

export class Recording {
  /** Of a file of 16 bits a sample, its left and right side. */
  constructor(bytes) {
    assert.equal(bytes.toString("latin1", 0, 4), "RIFF");
    for (let at = 12; at + 8 <= bytes.length; at += 8 + bytes.readUInt32LE(at + 4)) {
      const name = bytes.toString("latin1", at, at + 4);
      if (name === "fmt ") {
        assert.deepEqual([bytes.readUInt16LE(at + 10), bytes.readUInt16LE(at + 22)], [2, 16], "sides, bits");
        this.rate = bytes.readUInt32LE(at + 12);
      }
      if (name === "data") this.#take(bytes.subarray(at + 8, at + 8 + bytes.readUInt32LE(at + 4)));
    }
  }

  #take(data) {
    const sample = (n) => data.readInt16LE(2 * n) / 32_768;
    const count = Math.floor(data.length / 4);
    this.left = Array.from({ length: count }, (_, n) => sample(2 * n));
    this.right = Array.from({ length: count }, (_, n) => sample(2 * n + 1));
    this.seconds = count / this.rate;
  }

  /**
   * What a side has from one second to another: how much of it is a tone, and its loudness. Measured each 20 ms: where a
   * jitter buffer has made a tone shorter or longer, its phase is another.
   */
  part(side, from, to, hz) {
    const samples = this[side].slice(Math.round(from * this.rate), Math.round(to * this.rate));
    const size = this.rate / 50;
    let [power, energy, parts] = [0, 0, 0];
    for (let at = 0; at + size <= samples.length; at += size) {
      const { toneRms, rms } = tone(samples.slice(at, at + size), this.rate, hz);
      [power, energy, parts] = [power + toneRms ** 2, energy + rms ** 2, parts + 1];
    }
    return { share: energy > 0 ? power / energy : 0, rms: Math.sqrt(energy / parts) };
  }
}

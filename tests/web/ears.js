// What a page says and hears: a tone for its microphone, and the loudness of a tone in what comes, each
// 20 ms, measured sample by sample.

const MEASURE = `
registerProcessor("measure", class extends AudioWorkletProcessor {
  constructor({ processorOptions: { hz } }) {
    super();
    this.size = sampleRate / 50;
    this.part = new Float32Array(this.size);
    this.filled = 0;
    this.coefficient = 2 * Math.cos((2 * Math.PI * hz) / sampleRate);
  }
  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.part[this.filled++] = sample;
      if (this.filled === this.size) this.tell();
    }
    return true;
  }
  tell() {
    let [s1, s2, energy] = [0, 0, 0];
    for (const sample of this.part) {
      [s1, s2] = [sample + this.coefficient * s1 - s2, s1];
      energy += sample * sample;
    }
    const power = (2 * (s1 * s1 + s2 * s2 - this.coefficient * s1 * s2)) / this.size;
    this.port.postMessage([energy > 0 ? power / energy : 0, Math.sqrt(energy / this.size)]);
    this.filled = 0;
  }
});`;

const context = new AudioContext();
let loaded;

/** Loads the measure once somebody listens: a page with a policy may forbid it, and still speak. */
const ready = () => (loaded ??= context.audioWorklet.addModule(
  URL.createObjectURL(new Blob([MEASURE], { type: "text/javascript" })),
));

/** A stream with a tone, as a microphone would give it. */
export function mouth(hz) {
  const oscillator = new OscillatorNode(context, { frequency: hz });
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  const gain = new GainNode(context, { gain: 0.5 });
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  // As a headset's own switch: the track stays live and says nothing.
  destination.stream.speak = (on) => { gain.gain.value = on ? 0.5 : 0; };
  return destination.stream;
}

/** Listens to the far end of a peer connection for a tone. */
export class Ear {
  constructor(hz) {
    this.hz = hz;
    /** Each 20 ms: how much of it is the tone, and its RMS. */
    this.parts = [];
  }

  /** It is the page's ear from now on. */
  async listen(connection) {
    await ready();
    globalThis.ear = this;
    const stream = new MediaStream(connection.getReceivers().map((it) => it.track));
    // Chromium gives no sound of a remote stream to WebAudio unless an element plays it.
    this.element = Object.assign(new Audio(), { srcObject: stream, muted: true });
    await this.element.play();
    const options = { processorOptions: { hz: this.hz }, numberOfOutputs: 0 };
    const node = new AudioWorkletNode(context, "measure", options);
    node.port.onmessage = ({ data }) => this.parts.push(data);
    new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(node);
  }

  /** Of the latest second: the share of the tone, its RMS, and how long it was missing at most, in ms. */
  latest(seconds = 1) {
    const parts = this.parts.slice(-50 * seconds);
    const mean = (at) => parts.reduce((sum, it) => sum + it[at], 0) / Math.max(parts.length, 1);
    let [longest, now] = [0, 0];
    for (const [share, rms] of parts) {
      now = share > 0.5 && rms > 0.02 ? 0 : now + 20;
      longest = Math.max(longest, now);
    }
    return { share: mean(0), rms: mean(1), gap: longest, parts: parts.length };
  }
}

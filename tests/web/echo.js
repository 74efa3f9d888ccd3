// An agent whose microphone hears the loudspeaker, or one with a headset; and who listens to a call. The microphone
// is made by WebAudio and never comes from getUserMedia, so that no processing of Chromium's is in it.

import JsSIP from "jssip";
import { tone } from "./sound.mjs";

const KEEPER = `
registerProcessor("keeper", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.part = new Float32Array(sampleRate / 50);
    this.filled = 0;
  }
  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.part[this.filled++] = sample;
      if (this.filled < this.part.length) continue;
      this.port.postMessage(this.part.slice());
      this.filled = 0;
    }
    return true;
  }
});`;

const context = new AudioContext({ sampleRate: 48_000 });
const ready = context.audioWorklet.addModule(
  URL.createObjectURL(new Blob([KEEPER], { type: "text/javascript" })),
);

/** What is kept of what was heard, in parts of 20 ms: a minute. */
const PARTS_MAX = 3_000;
/** How long a room sounds after, and by what it is a tenth of what it was, in seconds. */
const ROOM = { lasts: 0.06, fades: 0.03 };

const decibels = (db) => 10 ** (db / 20);

/** What a room makes of a click: the way straight, and what comes off the walls; as loud in all as the click. */
function room() {
  const buffer = new AudioBuffer({ length: ROOM.lasts * context.sampleRate, sampleRate: context.sampleRate });
  const samples = buffer.getChannelData(0);
  let seed = 1;
  for (let n = 1; n < samples.length; n += 1) {
    seed = (seed * 48_271) % 0x7fffffff;
    samples[n] = 0.1 * (seed / 0x3fffffff - 1) * 0.1 ** (n / (ROOM.fades * context.sampleRate));
  }
  samples[0] = 1;
  const energy = Math.sqrt(samples.reduce((sum, it) => sum + it * it, 0));
  samples.forEach((it, n) => { samples[n] = it / energy; });
  return buffer;
}

class Phone {
  events = [];
  microphone = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  heard = [];

  register(url, user) {
    const sockets = [new JsSIP.WebSocketInterface(url)];
    this.ua = new JsSIP.UA({ sockets, uri: `sip:${user}@127.0.0.1`, password: `secret-${user}` });
    this.ua.on("newRTCSession", ({ session, originator }) => {
      if (originator === "remote") this.#take(session, "incoming");
    });
    return new Promise((resolve, reject) => {
      this.ua.once("registered", resolve);
      this.ua.once("registrationFailed", ({ cause }) => reject(new Error(cause)));
      this.ua.start();
    });
  }

  answer() {
    this.session.answer({ mediaStream: this.microphone.stream, pcConfig: { iceServers: [] } });
  }

  call(user) {
    const to = `sip:${user}@127.0.0.1`;
    const session = this.ua.call(to, { mediaStream: this.microphone.stream, pcConfig: { iceServers: [] } });
    this.#take(session, "outgoing");
  }

  hangUp() {
    this.session.terminate();
  }

  /** Hears; and with `speaker`, its microphone hears that too, `ms` later and `down` dB quieter, as its room has it. */
  async listen(speaker) {
    await ready;
    const tracks = this.session.connection.getReceivers().map((it) => it.track);
    const mediaStream = new MediaStream(tracks);
    this.element = Object.assign(new Audio(), { srcObject: mediaStream, muted: true });
    await this.element.play();
    const source = new MediaStreamAudioSourceNode(context, { mediaStream });
    const keeper = new AudioWorkletNode(context, "keeper", { numberOfOutputs: 0 });
    keeper.port.onmessage = ({ data }) => {
      this.heard.push(data);
      if (this.heard.length > PARTS_MAX) this.heard.shift();
    };
    source.connect(keeper);
    if (!speaker) return;
    source
      .connect(new DelayNode(context, { delayTime: speaker.ms / 1_000 }))
      .connect(new GainNode(context, { gain: decibels(-speaker.down) }))
      .connect(new ConvolverNode(context, { buffer: room(), disableNormalization: true }))
      .connect(this.microphone);
  }

  /** Says a tone. */
  hum(hz) {
    const oscillator = new OscillatorNode(context, { frequency: hz });
    oscillator.connect(new GainNode(context, { gain: 0.5 })).connect(this.microphone);
    oscillator.start();
  }

  /** Says these samples (8 kHz), once. */
  say(samples) {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: 8_000 });
    buffer.copyToChannel(Float32Array.from(samples), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.microphone);
    source.start();
  }

  /** By how much Chromium's playout has moved what it got so far: samples left out, put in and invented. */
  async moved() {
    const stats = [...(await this.session.connection.getStats()).values()];
    const it = stats.find((it) => it.type === "inbound-rtp");
    return it.removedSamplesForAcceleration + it.insertedSamplesForDeceleration + it.concealedSamples;
  }

  /** How loud each of these tones was in the latest seconds, and all together; RMS. */
  latest(tones, seconds = 1) {
    const parts = this.heard.slice(-50 * seconds);
    const samples = parts.flatMap((part) => [...part]);
    const { rms } = tone(samples, context.sampleRate, 1_000);
    return { rms, tones: tones.map((hz) => tone(samples, context.sampleRate, hz).toneRms), parts: parts.length };
  }

  #take(session, event) {
    this.session = session;
    this.events.push(event);
    session.on("confirmed", () => this.events.push("confirmed"));
    session.on("ended", ({ cause }) => this.events.push(`ended ${cause}`));
    session.on("failed", ({ cause }) => this.events.push(`failed ${cause}`));
  }
}

globalThis.phone = new Phone();

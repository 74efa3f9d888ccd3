// A browser as an agent's phone, for scenarios that were made for SIP phones: JsSIP, which says a tone, writes down what it
// hears, and does what it is told.

import JsSIP from "jssip";

const RATE = 8_000;
/** -12 dBFS, where a sine of full scale is 0. */
const LEVEL = 10 ** (-12 / 20);

const KEEPER = `
registerProcessor("keeper", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.part = new Float32Array(160);
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

const mouths = new AudioContext({ sampleRate: 48_000 });
const ears = new AudioContext({ sampleRate: RATE });
const ready = ears.audioWorklet.addModule(
  URL.createObjectURL(new Blob([KEEPER], { type: "text/javascript" })),
);
/** Seconds since 1970. */
const wall = () => (performance.timeOrigin + performance.now()) / 1_000;
const options = { pcConfig: { iceServers: [] } };

class Agent {
  /** Its calls, the latest last. */
  calls = [];

  async register({ url, name, password, hz, answers }) {
    await ready;
    this.answers = answers;
    this.tone = this.#mouth(hz);
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri: `sip:${name}@${new URL(url).hostname}`,
      password,
    });
    this.ua.on("newRTCSession", ({ session, originator }) => this.#take(session, originator));
    const registered = new Promise((resolve, reject) => {
      this.ua.once("registered", resolve);
      this.ua.once("registrationFailed", ({ cause }) => reject(new Error(cause)));
    });
    this.ua.start();
    await registered;
    tell({ type: "REGISTERED", at: wall() });
  }

  /** What baresip's menu has for the same. */
  command(word, parameter) {
    const session = this.calls.at(-1);
    const does = {
      accept: () => this.#answer(session),
      hangup: () => session.terminate(),
      hold: () => session.hold(),
      resume: () => session.unhold(),
      dial: () => this.ua.call(parameter, { mediaStream: this.tone, ...options }),
      transfer: () => session.refer(parameter),
      // Joins the other side of the first call with that of the latest, and is out.
      join: () => this.calls[0].refer(session.remote_identity.uri.toString(), { replaces: session }),
      press: () => session.sendDTMF(parameter, { transportType: "RFC2833" }),
    }[word];
    does();
  }

  #take(session, originator) {
    const number = this.calls.push(session);
    const says = (type) => tell({ type, call: number, at: wall() });
    session.on("peerconnection", ({ peerconnection }) => this.#listen(peerconnection, number));
    session.on("confirmed", () => says("CALL_ESTABLISHED"));
    session.on("ended", () => says("CALL_CLOSED"));
    session.on("failed", () => says("CALL_CLOSED"));
    if (originator === "local") {
      this.#listen(session.connection, number);
      return;
    }
    says("CALL_INCOMING");
    if (this.answers) this.#answer(session);
  }

  #answer(session) {
    session.answer({ mediaStream: this.tone, ...options });
  }

  #mouth(hz) {
    const destination = new MediaStreamAudioDestinationNode(mouths, { channelCount: 1 });
    const oscillator = new OscillatorNode(mouths, { frequency: hz });
    oscillator.connect(new GainNode(mouths, { gain: LEVEL })).connect(destination);
    oscillator.start();
    return destination.stream;
  }

  #listen(connection, number) {
    if (!connection || connection.listened) return;
    connection.listened = true;
    connection.addEventListener("track", async ({ track }) => {
      const mediaStream = new MediaStream([track]);
      // Chromium gives no sound of a remote stream to WebAudio unless an element plays it.
      const element = Object.assign(new Audio(), { srcObject: mediaStream, muted: true });
      connection.element = element;
      await element.play();
      const keeper = new AudioWorkletNode(ears, "keeper", { numberOfOutputs: 0 });
      keeper.port.onmessage = ({ data }) => keep({ call: number, at: wall() - data.length / RATE, samples: [...data] });
      new MediaStreamAudioSourceNode(ears, { mediaStream }).connect(keeper);
    }, { once: true });
  }
}

globalThis.agent = new Agent();

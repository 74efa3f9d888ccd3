// Mouth to ear, to the sample: bursts leave one peer connection's microphone and come out of another's, on one
// clock, that of the page's sound. First from Chromium to Chromium, then with the server between.

import JsSIP from "jssip";

const PROCESSORS = `
registerProcessor("bursts", class extends AudioWorkletProcessor {
  constructor({ processorOptions: { every } }) {
    super();
    this.every = every * sampleRate;
    this.lasts = 0.04 * sampleRate;
  }
  process(_, [[out]]) {
    for (let n = 0; n < out.length; n += 1) {
      const at = (currentFrame + n) % this.every;
      if (at === 0) this.port.postMessage(currentFrame + n);
      out[n] = at < this.lasts ? 0.5 * Math.sin((2 * Math.PI * 1_000 * at) / sampleRate) : 0;
    }
    return true;
  }
});
registerProcessor("onsets", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.quiet = 0;
  }
  process([[samples]]) {
    (samples ?? []).forEach((sample, n) => {
      if (Math.abs(sample) < 0.05) {
        this.quiet += 1;
      } else {
        if (this.quiet > 0.2 * sampleRate) this.port.postMessage(currentFrame + n);
        this.quiet = 0;
      }
    });
    return true;
  }
});`;

const context = new AudioContext({ sampleRate: 48_000 });
const ready = context.audioWorklet.addModule(
  URL.createObjectURL(new Blob([PROCESSORS], { type: "text/javascript" })),
);

/** Seconds from burst to burst. */
const EVERY = 0.6;
/** A sound that comes later than this belongs to another burst. */
const LONGEST = 0.55;

/** A microphone that says a burst now and then, and when it did, in samples. */
function mouth() {
  const sent = [];
  const node = new AudioWorkletNode(context, "bursts", {
    numberOfInputs: 0,
    outputChannelCount: [1],
    processorOptions: { every: EVERY },
  });
  node.port.onmessage = ({ data }) => sent.push(data);
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  node.connect(destination);
  return { sent, stream: destination.stream, stop: () => node.disconnect() };
}

const silence = () => new MediaStreamAudioDestinationNode(context, { channelCount: 1 }).stream;

/** When bursts came out of a connection. */
async function ear(connection) {
  const heard = [];
  const stream = new MediaStream(connection.getReceivers().map((it) => it.track));
  const element = Object.assign(new Audio(), { srcObject: stream, muted: true });
  await element.play();
  const node = new AudioWorkletNode(context, "onsets", { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) => heard.push(data);
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
  source.connect(node);
  return { heard, element };
}

/** The delay of each burst that came, in ms. */
function delays({ sent }, { heard }) {
  return sent.flatMap((at) => {
    const came = heard.find((it) => it > at && it - at < LONGEST * context.sampleRate);
    return came === undefined ? [] : [((came - at) / context.sampleRate) * 1_000];
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1_000 * seconds));

/** Lets it run in, then measures for so long. */
async function measure(from, to, seconds) {
  await pause(5);
  from.sent.length = 0;
  to.heard.length = 0;
  await pause(seconds);
  from.stop();
  return delays(from, to);
}

/** Until a description has all its candidates in it. */
const gathered = (connection) => new Promise((resolve) => {
  const look = () => connection.iceGatheringState === "complete" && resolve();
  connection.addEventListener("icegatheringstatechange", look);
  look();
});

/** Chromium to Chromium, in one codec. */
async function direct(mime, seconds) {
  await ready;
  const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const from = mouth();
  const [track] = from.stream.getTracks();
  const sender = a.addTransceiver(track, { direction: "sendrecv" });
  const codecs = RTCRtpReceiver.getCapabilities("audio").codecs;
  sender.setCodecPreferences(codecs.filter((it) => it.mimeType.toLowerCase() === mime));
  await a.setLocalDescription();
  await gathered(a);
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await gathered(b);
  await a.setRemoteDescription(b.localDescription);
  const to = await ear(b);
  const found = await measure(from, to, seconds);
  a.close();
  b.close();
  return found;
}

/** A phone of the server's, by JsSIP. */
function phone(url, user) {
  const ua = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${user}@127.0.0.1`,
    password: `secret-${user}`,
  });
  return new Promise((resolve, reject) => {
    ua.once("registered", () => resolve(ua));
    ua.once("registrationFailed", ({ cause }) => reject(new Error(cause)));
    ua.start();
  });
}

const pcConfig = { iceServers: [] };

/** The same from the phone `caller` to whoever is rung for `number`, which is the phone `callee`. */
async function through(url, [caller, callee, number], seconds) {
  await ready;
  const [a, b] = await Promise.all([phone(url, caller), phone(url, callee)]);
  const from = mouth();
  const confirmed = (session) => new Promise((resolve) => session.once("confirmed", resolve));
  const rung = new Promise((resolve) => b.once("newRTCSession", ({ session }) => resolve(session)));
  const out = a.call(`sip:${number}@127.0.0.1`, { mediaStream: from.stream, pcConfig });
  const up = confirmed(out);
  const incoming = await rung;
  incoming.answer({ mediaStream: silence(), pcConfig });
  await up;
  const to = await ear(incoming.connection);
  const found = await measure(from, to, seconds);
  const stats = await incoming.connection.getStats();
  const codec = [...stats.values()].find((it) => it.type === "codec")?.mimeType;
  out.terminate();
  await pause(0.5);
  a.stop();
  b.stop();
  return { found, codec };
}

let line;

/** Registers a phone that answers its first call with bursts. */
async function waits(url, user) {
  await ready;
  const from = mouth();
  const ua = await phone(url, user);
  const rung = new Promise((resolve) => ua.once("newRTCSession", ({ session }) => resolve(session)));
  line = { from, ua, rung };
}

/** The way to a caller who says at once what he hears, and the way back. */
async function returned(seconds) {
  const { from, ua, rung } = line;
  const session = await rung;
  const up = new Promise((resolve) => session.once("confirmed", resolve));
  session.answer({ mediaStream: from.stream, pcConfig });
  await up;
  const found = await measure(from, await ear(session.connection), seconds);
  session.terminate();
  await pause(0.5);
  ua.stop();
  return found;
}

globalThis.latency = { direct, through, waits, returned };

// Runs in the desk's page before the desk: microphones that say a tone each, speakers that are only named, and
// the desk's peer connections and players, so that a test can listen to what the agent hears.

import { Ear, mouth } from "./ears.js";

const TONES = { "mic-a": 1_000, "mic-b": 2_000 };
const device = (kind, deviceId, label) => ({ kind, deviceId, label, groupId: "" });
const DEVICES = [
  device("audioinput", "mic-a", "Headset"),
  device("audioinput", "mic-b", "Desk microphone"),
  device("audiooutput", "ear-a", "Headset"),
  device("audiooutput", "ear-b", "Loudspeaker"),
];

const test = {
  connections: [],
  /** The streams of microphones that were opened: each constraint, and its tracks. */
  opened: [],
  sinks: [],
  notified: [],
  sockets: [],
  violations: [],
  /** As a network that goes away. */
  cut() {
    this.sockets.at(-1).close();
  },
  /** Listens to the newest connection. */
  async listen(hz) {
    this.ear = new Ear(hz);
    await this.ear.listen(this.connections.at(-1));
  },
};
globalThis.test = test;

document.addEventListener("securitypolicyviolation", (event) => {
  test.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});

const Connection = globalThis.RTCPeerConnection;
globalThis.RTCPeerConnection = class extends Connection {
  constructor(...args) {
    super(...args);
    test.connections.push(this);
  }
};

const Socket = globalThis.WebSocket;
globalThis.WebSocket = class extends Socket {
  constructor(...args) {
    super(...args);
    test.sockets.push(this);
  }
};

navigator.mediaDevices.enumerateDevices = async () => DEVICES;
navigator.mediaDevices.getUserMedia = async ({ audio }) => {
  const id = audio.deviceId?.exact ?? "mic-a";
  const stream = mouth(globalThis.tone ?? TONES[id]);
  test.opened.push({ id, audio, tracks: stream.getTracks(), speak: stream.speak });
  return stream;
};
HTMLMediaElement.prototype.setSinkId = function (id) {
  test.sinks.push(id);
  this.chosenSink = id;
  return Promise.resolve();
};
globalThis.Notification = class {
  static permission = "granted";
  static requestPermission = async () => "granted";
  constructor(title, options) {
    test.notified.push({ title, ...options });
    this.at = test.notified.length - 1;
  }
  close() {
    test.notified[this.at].closed = true;
  }
};

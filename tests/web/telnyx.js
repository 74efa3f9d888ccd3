// @telnyx/webrtc as its own documents use it, behind the few words that the tests say to every client.

import { TelnyxRTC } from "@telnyx/webrtc";
import { mouth } from "./ears.js";
import { Phone } from "./phone.js";

/** What the microphone hears next: the client asks the browser for it by itself. */
let speaks = 1_000;
navigator.mediaDevices.getUserMedia = async () => mouth(speaks);

class TelnyxPhone extends Phone {
  /** The state of each call by its id, as it was told last. */
  states = new Map();
  /** After a loss of its socket it makes its calls anew. */
  takesUp = true;

  register(url, user, password, token) {
    const host = url.replace(/\/sip$/, "/verto");
    // No servers of anybody's, and a page that goes may come back to its calls.
    const options = { iceServers: [], hangupOnBeforeUnload: false };
    const proof = token ? { login_token: token } : { login: user, password };
    this.client = new TelnyxRTC({ host, ...proof, ...options });
    this.client.remoteElement = Object.assign(new Audio(), { muted: true });
    this.client.on("telnyx.notification", ({ type, call }) => {
      if (type === "callUpdate") this.#changed(call);
    });
    this.client.on("telnyx.socket.close", () => this.events.push("disconnected"));
    this.client.on("telnyx.ready", () => this.events.push("registered"));
    return new Promise((resolve, reject) => {
      this.client.on("telnyx.ready", resolve);
      this.client.on("telnyx.error", ({ error }) => reject(new Error(error?.message ?? "error")));
      this.client.connect();
    });
  }

  unregister() {
    return this.client.disconnect();
  }

  answer(hz) {
    speaks = hz;
    return this.session.answer();
  }

  reject(status) {
    this.session.hangup({ sipCode: status });
  }

  call(user, hz) {
    speaks = hz;
    this.began(this.client.newCall({ destinationNumber: user, audio: true, video: false }), "outgoing");
  }

  hangUp() {
    this.session.hangup();
  }

  hold(on) {
    return on ? this.session.hold() : this.session.unhold();
  }

  mute(on) {
    return on ? this.session.muteAudio() : this.session.unmuteAudio();
  }

  press(key) {
    this.session.dtmf(key);
  }

  /** As a network that goes away: the socket ends without a word. */
  cut() {
    this.client.connection._wsClient.close();
  }

  /** As it does by itself when its media is lost. */
  anew() {
    return this.session.peer.restartIce();
  }

  connection() {
    return this.session.peer?.instance;
  }

  #changed(call) {
    const { id, state } = call;
    const over = OVER.includes(state);
    const at = this.lines.findIndex((it) => it.id === id);
    // One that was forgotten, or whose place another has.
    if (over && call !== this.lines[at]) return;
    if (at < 0) this.began(call);
    else if (call !== this.lines[at]) this.#takeUp(at, call);
    else if (this.states.get(id) === state) return;
    const was = this.states.get(id);
    this.states.set(id, state);
    if (state === "ringing" && call.direction === "inbound") this.events.push("incoming");
    if (state === "active") this.#active(call);
    if (over && !OVER.includes(was)) this.ended(call, `ended ${call.cause}`);
  }

  /** A call that is taken up again is another object of the same id. */
  #takeUp(at, call) {
    if (this.session === this.lines[at]) this.session = call;
    this.lines[at] = call;
    this.states.delete(call.id);
    if (this.ear) this.unheard = call;
  }

  #active(call) {
    this.events.push("confirmed");
    this.over = 0;
    if (this.unheard !== call) return;
    this.unheard = null;
    void this.listen(this.ear.hz);
  }
}

/** How a call is told of that has ended. */
const OVER = ["hangup", "destroy", "purge"];

globalThis.phone = new TelnyxPhone();

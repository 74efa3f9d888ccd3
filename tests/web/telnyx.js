// @telnyx/webrtc as its own documents use it, behind the few words that the tests say to every client.

import { TelnyxRTC } from "@telnyx/webrtc";
import { Ear, mouth } from "./ears.js";

/** What the microphone hears next: the client asks the browser for it by itself. */
let speaks = 1_000;
navigator.mediaDevices.getUserMedia = async () => mouth(speaks);

class Phone {
  events = [];
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
    this.session = this.client.newCall({ destinationNumber: user, audio: true, video: false });
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

  async listen(hz) {
    this.followed = true;
    this.ear = new Ear(hz);
    await this.ear.listen(this.session.peer.instance);
  }

  #changed(call) {
    const [before, now] = [this.state, call.state];
    if (before === now && call === this.session) return;
    // A call that is taken up again is another object of the same id.
    const again = call !== this.session && this.ear;
    [this.session, this.state] = [call, now];
    if (now === "ringing" && call.direction === "inbound") this.events.push("incoming");
    if (now === "active") {
      this.events.push("confirmed");
      this.over = 0;
    }
    if (again) this.followed = false;
    if (now === "active" && this.followed === false) {
      this.followed = true;
      void this.listen(this.ear.hz);
    }
    if (now === "hangup" || now === "destroy") {
      this.events.push(`ended ${call.cause}`);
      this.over ||= performance.timeOrigin + performance.now();
    }
  }
}

globalThis.phone = new Phone();

// JsSIP as its own documents use it, behind the few words that the tests say to every client.

import JsSIP from "jssip";
import { Ear, mouth } from "./ears.js";

const noServers = { pcConfig: { iceServers: [] } };

class Phone {
  events = [];

  register(url, user, password, token) {
    this.socket = new JsSIP.WebSocketInterface(url);
    this.ua = new JsSIP.UA({
      sockets: [this.socket],
      uri: `sip:${user}@127.0.0.1`,
      password,
      ...(token && { authorization_jwt: `Bearer ${token}` }),
      connection_recovery_min_interval: 1,
    });
    this.ua.on("newRTCSession", ({ session, originator }) => {
      if (originator === "remote") this.#take(session, "incoming");
    });
    this.ua.on("registered", () => this.events.push("registered"));
    this.ua.on("disconnected", () => this.events.push("disconnected"));
    return new Promise((resolve, reject) => {
      this.ua.once("registered", resolve);
      this.ua.once("registrationFailed", ({ cause }) => reject(new Error(cause)));
      this.ua.start();
    });
  }

  unregister() {
    return new Promise((resolve) => {
      this.ua.once("unregistered", resolve);
      this.ua.unregister();
    });
  }

  answer(hz) {
    this.session.answer({ mediaStream: mouth(hz), ...noServers });
  }

  reject(status) {
    this.session.terminate({ status_code: status });
  }

  call(user, hz) {
    const session = this.ua.call(`sip:${user}@127.0.0.1`, { mediaStream: mouth(hz), ...noServers });
    this.#take(session, "outgoing");
  }

  hangUp() {
    this.session.terminate();
  }

  hold(on) {
    return new Promise((resolve) => this.session[on ? "hold" : "unhold"]({}, resolve));
  }

  mute(on) {
    this.session[on ? "mute" : "unmute"]({ audio: true });
  }

  press(key) {
    this.session.sendDTMF(key);
  }

  /** As a network that goes away: the socket ends without a word. */
  cut() {
    this.socket._ws.close();
  }

  async listen(hz) {
    this.ear = new Ear(hz);
    await this.ear.listen(this.session.connection);
  }

  #take(session, event) {
    this.session = session;
    this.events.push(event);
    session.on("confirmed", () => this.events.push("confirmed"));
    session.on("ended", ({ cause }) => this.#over(`ended ${cause}`));
    session.on("failed", ({ cause }) => this.#over(`failed ${cause}`));
  }

  #over(event) {
    this.events.push(event);
    this.over = performance.timeOrigin + performance.now();
  }
}

globalThis.phone = new Phone();

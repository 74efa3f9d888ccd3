// JsSIP as its own documents use it, behind the few words that the tests say to every client.

import JsSIP from "jssip";
import { mouth } from "./ears.js";
import { Phone } from "./phone.js";

const noServers = { pcConfig: { iceServers: [] } };

class JssipPhone extends Phone {
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
      if (originator === "remote") this.#follow(session, "incoming");
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
    this.#follow(session, "outgoing");
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

  /** The same in its sound (RFC 4733). */
  pressInSound(key) {
    this.session.sendDTMF(key, { transportType: "RFC2833" });
  }

  refer(user) {
    this.#refer(`sip:${user}@127.0.0.1`, {});
  }

  /** Joins the far end of this call and that of another. */
  join(n) {
    this.#refer(this.lines[n].remote_identity.uri.toString(), { replaces: this.lines[n] });
  }

  anew() {
    return new Promise((resolve) => {
      this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, resolve);
    });
  }

  /** As a network that goes away: the socket ends without a word. */
  cut() {
    this.socket._ws.close();
  }

  connection() {
    return this.session?.connection;
  }

  #refer(to, options) {
    const told = ({ status_line: { status_code } }) => this.events.push(`referred ${status_code}`);
    const refused = ({ response }) => this.events.push(`referred ${response?.status_code}`);
    const eventHandlers = { trying: told, progress: told, accepted: told, failed: told, requestFailed: refused };
    this.session.refer(to, { ...options, eventHandlers });
  }

  #follow(session, event) {
    this.began(session, event);
    session.on("confirmed", () => this.events.push("confirmed"));
    session.on("ended", ({ cause }) => this.ended(session, `ended ${cause}`));
    session.on("failed", ({ cause }) => this.ended(session, `failed ${cause}`));
  }
}

globalThis.phone = new JssipPhone();

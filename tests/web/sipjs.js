// SIP.js as its own documents use it, behind the few words that the tests say to every client.

import { Inviter, Registerer, SessionState, UserAgent, Web } from "sip.js";
import { mouth } from "./ears.js";
import { Phone } from "./phone.js";

class SipjsPhone extends Phone {
  async register(url, user, password) {
    const microphone = async () => mouth(this.hz);
    this.ua = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@127.0.0.1`),
      authorizationUsername: user,
      authorizationPassword: password,
      transportOptions: { server: url },
      logLevel: "warn",
      sessionDescriptionHandlerFactory: Web.defaultSessionDescriptionHandlerFactory(microphone),
      sessionDescriptionHandlerFactoryOptions: {
        iceGatheringTimeout: 500,
        peerConnectionConfiguration: { iceServers: [] },
      },
      delegate: {
        onInvite: (invitation) => this.#follow(invitation, "incoming"),
        onDisconnect: () => {
          this.events.push("disconnected");
          this.#reconnect();
        },
      },
    });
    await this.ua.start();
    this.registerer = new Registerer(this.ua);
    await this.#registered();
  }

  async unregister() {
    await this.registerer.unregister();
  }

  async answer(hz) {
    this.hz = hz;
    await this.session.accept();
  }

  async reject(status) {
    await this.session.reject({ statusCode: status });
  }

  async call(user, hz) {
    this.hz = hz;
    const session = new Inviter(this.ua, UserAgent.makeURI(`sip:${user}@127.0.0.1`), { earlyMedia: true });
    this.#follow(session, "outgoing");
    await session.invite();
  }

  async hangUp() {
    await (this.session.state === SessionState.Established ? this.session.bye() : this.session.cancel());
  }

  /** As its own SimpleUser does: an offer that only sends, and nothing in it. */
  async hold(on) {
    const options = { ...this.session.sessionDescriptionHandlerOptionsReInvite, hold: on };
    this.session.sessionDescriptionHandlerOptionsReInvite = options;
    await new Promise((resolve, reject) => {
      this.session.invite({ requestDelegate: { onAccept: resolve, onReject: reject } });
    });
    this.mute(on);
  }

  mute(on) {
    const senders = this.session.sessionDescriptionHandler.peerConnection.getSenders();
    senders.forEach(({ track }) => (track.enabled = !on));
  }

  press(key) {
    const body = {
      contentDisposition: "render",
      contentType: "application/dtmf-relay",
      content: `Signal=${key}\r\nDuration=160`,
    };
    this.session.info({ requestOptions: { body } });
  }

  /** The same in its sound (RFC 4733). */
  pressInSound(key) {
    this.session.sessionDescriptionHandler.sendDtmf(key);
  }

  refer(user) {
    this.#refer(UserAgent.makeURI(`sip:${user}@127.0.0.1`));
  }

  /** Joins the far end of this call and that of another. */
  join(n) {
    this.#refer(this.lines[n]);
  }

  anew() {
    return new Promise((resolve, reject) => {
      this.session.invite({
        sessionDescriptionHandlerOptions: { offerOptions: { iceRestart: true } },
        requestDelegate: { onAccept: resolve, onReject: reject },
      });
    });
  }

  cut() {
    this.ua.transport.ws.close();
  }

  connection() {
    return this.session.sessionDescriptionHandler?.peerConnection;
  }

  #refer(to) {
    const told = (status) => this.events.push(`referred ${status}`);
    this.session.refer(to, {
      requestDelegate: { onReject: ({ message }) => told(message.statusCode) },
      onNotify: (notification) => {
        notification.accept();
        told(/^SIP\/2.0 (\d+)/.exec(notification.request.body)[1]);
      },
    });
  }

  #follow(session, event) {
    this.began(session, event);
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.events.push("confirmed");
      if (state === SessionState.Terminated) this.ended(session, "ended");
    });
  }

  /** Its documents leave this to whoever uses it. */
  async #reconnect() {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await this.ua.reconnect();
    await this.#registered();
  }

  #registered() {
    return new Promise((resolve, reject) => {
      const onReject = ({ message }) => reject(new Error(`${message.statusCode}`));
      const onAccept = () => {
        this.events.push("registered");
        resolve();
      };
      this.registerer.register({ requestDelegate: { onAccept, onReject } });
    });
  }
}

globalThis.phone = new SipjsPhone();

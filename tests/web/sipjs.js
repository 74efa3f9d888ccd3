// SIP.js as its own documents use it, behind the few words that the tests say to every client.

import { Inviter, Registerer, SessionState, UserAgent, Web } from "sip.js";
import { Ear, mouth } from "./ears.js";

class Phone {
  events = [];

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
        onInvite: (invitation) => this.#take(invitation, "incoming"),
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
    const session = new Inviter(this.ua, UserAgent.makeURI(`sip:${user}@127.0.0.1`));
    this.#take(session, "outgoing");
    await session.invite();
  }

  async hangUp() {
    await this.session.bye();
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

  cut() {
    this.ua.transport.ws.close();
  }

  async listen(hz) {
    this.ear = new Ear(hz);
    await this.ear.listen(this.session.sessionDescriptionHandler.peerConnection);
  }

  #take(session, event) {
    this.session = session;
    this.events.push(event);
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.events.push("confirmed");
      if (state === SessionState.Terminated) {
        this.events.push("ended");
        this.over = performance.timeOrigin + performance.now();
      }
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

globalThis.phone = new Phone();

// A phone whose media goes another way than straight: by a relay over TCP, or by a proxy whose address changes.

import JsSIP from "jssip";
import { mouth } from "./ears.js";
import { Phone } from "./phone.js";

class PathsPhone extends Phone {
  /** `way`: `ice`, the configuration of its connections; `port`, where it believes the server's media is. */
  register(url, user, way) {
    this.way = way;
    const sockets = [new JsSIP.WebSocketInterface(url)];
    this.ua = new JsSIP.UA({ sockets, uri: `sip:${user}@127.0.0.1`, password: `secret-${user}` });
    this.ua.on("newRTCSession", ({ session }) => {
      this.began(session, "incoming");
      // What a page may change in a description before its browser reads it.
      session.on("sdp", (it) => {
        if (it.originator === "remote" && way.port) it.sdp = moved(it.sdp, way.port);
      });
      session.on("confirmed", () => this.events.push("confirmed"));
      session.on("ended", ({ cause }) => this.ended(session, `ended ${cause}`));
    });
    return new Promise((resolve, reject) => {
      this.ua.once("registered", resolve);
      this.ua.once("registrationFailed", ({ cause }) => reject(new Error(cause)));
      this.ua.start();
    });
  }

  answer(hz) {
    this.session.answer({ mediaStream: mouth(hz), pcConfig: this.way.ice });
  }

  connection() {
    return this.session.connection;
  }

  /** By which kinds of candidates the sound goes, and by which protocol to the relay. */
  async path() {
    const stats = await this.session.connection.getStats();
    const all = [...stats.values()];
    const pair = all.find((it) => it.type === "candidate-pair" && it.nominated && it.state === "succeeded");
    const local = stats.get(pair?.localCandidateId);
    return { kind: local?.candidateType, relay: local?.relayProtocol };
  }

  /** Where the other end of that is. */
  async far() {
    const stats = await this.session.connection.getStats();
    const pair = [...stats.values()].find((it) => it.type === "candidate-pair" && it.nominated);
    const remote = stats.get(pair?.remoteCandidateId);
    return `${remote?.address}:${remote?.port}`;
  }
}

/** The same description with another port in its candidates and its media line. */
function moved(sdp, port) {
  return sdp
    .replace(/^(a=candidate:\S+ \d+ \S+ \d+ \S+) \d+/gm, `$1 ${port}`)
    .replace(/^(m=audio) [1-9]\d*/gm, `$1 ${port}`);
}

globalThis.phone = new PathsPhone();

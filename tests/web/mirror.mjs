// A carrier's phone that says what it hears as soon as it has heard it, in the packets that it came in.

import { Caller } from "./caller.mjs";

export class Mirror extends Caller {
  /** It speaks one codec: a payload type and its name. */
  static open(ip, server, codec) {
    // Whoever knows keys as the browser does has his packets passed on as they are.
    const mirror = new Mirror("mirror", ip, { keys: true });
    Object.assign(mirror, { server, codec });
    return mirror.bind();
  }

  sdp() {
    const { type, name } = this.codec;
    return super.sdp()
      .replace("RTP/AVP 0", `RTP/AVP ${type}`)
      .replace("a=rtpmap:0 PCMU/8000", `a=rtpmap:${type} ${name}`)
      .replace("telephone-event/8000", `telephone-event/${name.split("/")[1]}`);
  }

  /** It says nothing of its own. */
  talk() {}

  onPacket(bytes) {
    if (bytes.length < 12 || (bytes[1] & 0x7f) !== this.codec.type) return;
    // As a source of its own (RFC 3550 §8.2).
    bytes.writeUInt32BE(0x5eed5eed, 8);
    this.rtp.send(bytes, this.peer.port, this.peer.host);
  }
}

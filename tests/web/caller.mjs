// A carrier's caller.

import { Line, word } from "./line.mjs";

export class Caller extends Line {
  /** Signalling and audio from `ip`, to the server at `host:port`; `hz` is what it says. */
  static open(ip, server, hz = 440, { keys = false } = {}) {
    const caller = new Caller("caller", ip, { hz, keys });
    caller.server = server;
    return caller.bind();
  }

  /** Sends an INVITE for `user`; the final response's status. */
  async invite(user) {
    const { host, port } = this.server;
    const target = `sip:${user}@${host}:${port}`;
    this.dialog = {
      target, host, port,
      from: `<sip:+441234567@${this.ip}>;tag=${word()}`,
      to: `<${target}>`,
      callId: word(),
      cseq: 1,
      branch: word(),
    };
    this.send("INVITE", this.sdp());
    for (;;) {
      const response = await this.next((it) => it.status && it.cseq === "1 INVITE", 30_000);
      if (response.status < 200) continue;
      this.dialog.to = response.headers.to;
      if (response.status < 300) {
        this.dialog.target = /<(.*)>/.exec(response.headers.contact)[1];
        this.listen(response.body);
        this.send("ACK", "", { cseq: 1, branch: word() });
        this.talk();
      } else {
        this.send("ACK", "", { cseq: 1 });
      }
      return response.status;
    }
  }

  cancel() {
    this.send("CANCEL", "", { cseq: 1 });
  }
}

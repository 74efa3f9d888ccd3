// Whom a carrier's calls reach: it rings by itself, and answers, sounds early or refuses when it is told.

import { Line, word } from "./line.mjs";

/** A number that the carrier reaches, and what is said there, in Hz. */
export const NUMBER = "+4930711";
export const OTHER = 700;

export class Callee extends Line {
  #invite;

  /** Where the trunk's calls go; `hz` is what it says. */
  static open(ip, hz, port = 5_060) {
    return new Callee("callee", ip, { hz }).bind(port);
  }

  /** Until it rings; which number was called. */
  async rung(limit = 10_000) {
    const invite = await this.next((it) => it.method === "INVITE", limit);
    return /^sip:([^@]+)@/.exec(invite.uri)[1];
  }

  /** Sound before the answer. */
  sounds() {
    this.respond(this.#invite, 183, { body: this.sdp(), to: this.dialog.from });
    this.talk();
  }

  answer() {
    this.respond(this.#invite, 200, { body: this.sdp(), to: this.dialog.from });
    this.talk();
  }

  refuse(status) {
    this.respond(this.#invite, status, { to: this.dialog.from });
  }

  /** Until the call is taken back; when, in ms of the clock. */
  async takenBack(limit = 5_000) {
    await this.next((it) => it.method === "CANCEL", limit);
    return performance.timeOrigin + performance.now();
  }

  onRequest(request) {
    const first = request.method === "INVITE" && !request.headers.to.includes(";tag=");
    if (first) return this.#ring(request);
    super.onRequest(request);
    if (request.method === "CANCEL") this.refuse(487);
  }

  #ring(invite) {
    if (this.#invite) {
      // The same again is passed over; another call finds it busy.
      if (invite.headers["call-id"] !== this.dialog.callId) this.respond(invite, 486);
      return;
    }
    this.#invite = invite;
    this.listen(invite.body);
    this.dialog = {
      target: /<(.*?)>/.exec(invite.headers.contact)[1],
      host: invite.from.address,
      port: invite.from.port,
      from: `${invite.headers.to};tag=${word()}`,
      to: invite.headers.from,
      callId: invite.headers["call-id"],
      cseq: 1,
    };
    this.respond(invite, 180, { to: this.dialog.from });
  }
}

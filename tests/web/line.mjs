// A carrier's end of one call: SIP and RTP over UDP on loopback, with a tone in its mouth and an ear. It answers
// whatever the server asks in the call, and goes where the server's newest description says.

import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { EVENTS, Hearing, KEYS, SAMPLES } from "./hearing.mjs";
import { encode } from "./sound.mjs";

export const word = () => randomBytes(6).toString("hex");

/** Lines that were not closed. */
const standing = new Set();

/** Ends what a step has left when it failed. */
export function closeLines() {
  for (const line of standing) line.close();
}

export class Line extends Hearing {
  inbox = [];
  ended = null;
  #waiters = [];
  #presses = [];

  /** `hz` is what it says; with `keys` it offers telephone-event (RFC 4733) too. */
  constructor(name, ip, { hz = 440, keys = false } = {}) {
    super();
    Object.assign(this, { name, ip, offersKeys: keys });
    const step = (2 * Math.PI * hz) / 8_000;
    /** What it says: the sample of that number. */
    this.voice = (n) => 0.5 * Math.sin(step * n);
  }

  async bind(port = 0) {
    this.sip = await bound(this.ip, port, this.#onMessage.bind(this));
    this.rtp = await bound(this.ip, 0, this.onPacket.bind(this));
    standing.add(this);
    return this;
  }

  /** Hangs up; when the server has said 200. */
  async bye() {
    clearInterval(this.talking);
    this.dialog.cseq += 1;
    this.dialog.branch = word();
    this.send("BYE");
    const response = await this.next((it) => it.cseq === `${this.dialog.cseq} BYE`, 5_000);
    this.ended = performance.now();
    return response.status;
  }

  /** When the server has hung up, in ms of the clock. */
  async hungUp(limit = 10_000) {
    if (this.ended === null) await this.next((it) => it.method === "BYE", limit);
    return this.ended;
  }

  /** The wall clock, in ms, as a page has it. */
  wall() {
    return performance.timeOrigin + performance.now();
  }

  /** When it was over, by that. */
  endedAt() {
    return performance.timeOrigin + this.ended;
  }

  /** Presses a key for a tenth of a second. */
  press(key) {
    for (let n = 1; n <= 8; n += 1) this.#presses.push({ key: KEYS.indexOf(key), packet: n });
  }

  close() {
    clearInterval(this.talking);
    if (!standing.delete(this)) return;
    this.sip.close();
    this.rtp.close();
  }

  /** The next message that is wanted, or the first that came and nobody took. */
  next(wanted, limit) {
    const found = this.inbox.findIndex(wanted);
    if (found >= 0) return Promise.resolve(this.inbox.splice(found, 1)[0]);
    return new Promise((resolve, reject) => {
      const why = new Error(`the ${this.name} waited ${limit} ms in vain`);
      const timer = setTimeout(() => reject(why), limit);
      this.#waiters.push({ wanted, resolve: (it) => (clearTimeout(timer), resolve(it)) });
    });
  }

  contact() {
    return `<sip:${this.name}@${this.ip}:${this.sip.address().port}>`;
  }

  sdp() {
    const port = this.rtp.address().port;
    const [types, lines] = this.offersKeys
      ? ["0 101", ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"]]
      : ["0", []];
    return [
      "v=0", `o=- 1 1 IN IP4 ${this.ip}`, "s=-", `c=IN IP4 ${this.ip}`, "t=0 0",
      `m=audio ${port} RTP/AVP ${types}`, "a=rtpmap:0 PCMU/8000", ...lines, "a=ptime:20", "",
    ].join("\r\n");
  }

  /** A request in the dialog. */
  send(method, body = "", { cseq = this.dialog.cseq, branch = this.dialog.branch } = {}) {
    const { target, from, to, callId, host, port } = this.dialog;
    const text = [
      `${method} ${target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.ip}:${this.sip.address().port};branch=z9hG4bK${branch};rport`,
      "Max-Forwards: 70", `From: ${from}`, `To: ${to}`, `Call-ID: ${callId}`,
      `CSeq: ${cseq} ${method}`, `Contact: ${this.contact()}`, ...withBody(body),
    ].join("\r\n");
    this.sip.send(text, port, host);
  }

  /** A response; `to` where it makes a dialog. */
  respond(request, status, { body = "", to = request.headers.to } = {}) {
    const text = [
      `SIP/2.0 ${status} Said so`, ...request.vias.map((via) => `Via: ${via}`),
      `From: ${request.headers.from}`, `To: ${to}`,
      `Call-ID: ${request.headers["call-id"]}`, `CSeq: ${request.cseq}`,
      `Contact: ${this.contact()}`, ...withBody(body),
    ].join("\r\n");
    this.sip.send(text, request.from.port, request.from.address);
  }

  /** 200 to whatever the server asks; to an offer, and where one is asked for, the same description as ever. */
  onRequest(request) {
    const offers = request.body.includes("m=audio");
    if (offers) this.listen(request.body);
    if (request.method === "ACK") return;
    this.respond(request, 200, { body: offers || request.method === "INVITE" ? this.sdp() : "" });
  }

  /** Where the server's description says that its ear is. */
  listen(sdp) {
    const port = Number(/m=audio (\d+)/.exec(sdp)[1]);
    const host = /c=IN IP4 (\S+)/.exec(sdp)[1];
    this.peer = { host, port };
  }

  /** Says these samples (8 kHz, from -1 to 1) from now on, and then nothing. */
  say(samples) {
    let begun;
    this.voice = (n) => samples[n - (begun ??= n)] ?? 0;
  }

  /** 20 ms of what it says every 20 ms, by the clock and not by the timer's count. */
  talk() {
    if (this.talking) return;
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header.writeUInt32BE(0x5eed5eed, 8);
    const began = performance.now();
    let sent = 0;
    this.talking = setInterval(() => {
      for (; sent * 20 <= performance.now() - began; sent += 1) {
        header[1] = sent === 0 ? 0x80 : 0;
        header.writeUInt16BE(sent & 0xffff, 2);
        header.writeUInt32BE((sent * SAMPLES) >>> 0, 4);
        const press = this.#presses.shift();
        if (press) {
          this.rtp.send(event(header, press, sent), this.peer.port, this.peer.host);
          continue;
        }
        const samples = Array.from({ length: SAMPLES }, (_, n) =>
          encode(this.voice(sent * SAMPLES + n)));
        const packet = Buffer.concat([header, Buffer.from(samples)]);
        this.rtp.send(packet, this.peer.port, this.peer.host);
      }
    }, 10);
  }

  #onMessage(bytes, from) {
    const message = { ...parse(bytes.toString()), from };
    if (message.method) this.onRequest(message);
    if (message.method === "BYE" && this.ended === null) {
      this.ended = performance.now();
      clearInterval(this.talking);
    }
    const waiter = this.#waiters.findIndex((it) => it.wanted(message));
    if (waiter >= 0) this.#waiters.splice(waiter, 1)[0].resolve(message);
    else this.inbox.push(message);
  }
}

/** The end of a message. */
const withBody = (body) => [
  ...(body ? ["Content-Type: application/sdp"] : []),
  `Content-Length: ${Buffer.byteLength(body)}`, "", body,
];

/** One packet of a key (RFC 4733 §2.3): five while it is down, three of its end. */
function event(header, { key, packet }, sent) {
  const head = Buffer.from(header);
  head[1] = EVENTS | (packet === 1 ? 0x80 : 0);
  head.writeUInt32BE(((sent - packet + 1) * SAMPLES) >>> 0, 4);
  const duration = Math.min(packet, 6) * SAMPLES;
  return Buffer.concat([head, Buffer.from([key, (packet > 5 ? 0x80 : 0) | 10, duration >> 8, duration & 0xff])]);
}

function bound(ip, port, onMessage) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket("udp4");
    socket.on("message", onMessage);
    socket.on("error", reject);
    socket.bind(port, ip, () => resolve(socket));
  });
}

function parse(text) {
  const [head, body = ""] = text.split(/\r\n\r\n([\s\S]*)/);
  const [first, ...lines] = head.split("\r\n");
  const headers = {};
  const vias = [];
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(":")).trim().toLowerCase();
    const value = line.slice(line.indexOf(":") + 1).trim();
    if (name === "via") vias.push(value);
    headers[name] ??= value;
  }
  const status = first.startsWith("SIP/2.0 ") ? Number(first.split(" ")[1]) : undefined;
  const [method, uri] = status ? [] : first.split(" ");
  return { status, method, uri, headers, vias, cseq: headers.cseq, body };
}

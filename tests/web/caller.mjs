// A carrier's end of one call: SIP and RTP over UDP on loopback, G.711 µ-law, with a tone in its mouth and
// an ear that keeps what it hears.

import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { decode, encode, tone } from "./sound.mjs";

const SAMPLES = 160;
/** The payload type of telephone-event, as we offer it. */
const EVENTS = 101;
const KEYS = "0123456789*#ABCD";
const word = () => randomBytes(6).toString("hex");

export class Caller {
  /**
   * Signalling and audio from `ip`, to the server at `host:port`; `hz` is what it says. With `keys` it offers
   * telephone-event (RFC 4733) too.
   */
  static async open(ip, server, hz = 440, { keys = false } = {}) {
    const caller = new Caller(ip, server, hz);
    caller.offersKeys = keys;
    caller.sip = await bound(ip, caller.#onMessage.bind(caller));
    caller.rtp = await bound(ip, caller.#onPacket.bind(caller));
    return caller;
  }

  constructor(ip, server, hz) {
    Object.assign(this, { ip, server, hz });
    this.heard = [];
    /** When each packet came. */
    this.times = [];
    this.inbox = [];
    this.waiters = [];
    this.received = 0;
    this.ended = null;
    /** The keys that came. */
    this.keys = "";
    this.presses = [];
  }

  /** Sends an INVITE for `user`; the final response's status. */
  async invite(user) {
    const port = this.sip.address().port;
    const target = `sip:${user}@${this.server.host}:${this.server.port}`;
    this.dialog = {
      target,
      from: `<sip:+441234567@${this.ip}>;tag=${word()}`,
      to: `<${target}>`,
      callId: word(),
      cseq: 1,
      branch: word(),
      contact: `<sip:caller@${this.ip}:${port}>`,
    };
    this.#send("INVITE", this.#sdp());
    for (;;) {
      const response = await this.next((it) => it.status && it.cseq === "1 INVITE", 30_000);
      if (response.status < 200) continue;
      this.dialog.to = response.headers.to;
      if (response.status < 300) {
        this.dialog.target = /<(.*)>/.exec(response.headers.contact)[1];
        this.#listen(response.body);
        this.#send("ACK", "", { cseq: 1, branch: word() });
        this.#talk();
      } else {
        this.#send("ACK", "", { cseq: 1 });
      }
      return response.status;
    }
  }

  cancel() {
    this.#send("CANCEL", "", { cseq: 1 });
  }

  /** Hangs up; when the server has said 200. */
  async bye() {
    clearInterval(this.talking);
    this.dialog.cseq += 1;
    this.dialog.branch = word();
    this.#send("BYE");
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
    for (let n = 1; n <= 8; n += 1) this.presses.push({ key: KEYS.indexOf(key), packet: n });
  }

  /** What was heard in the latest `seconds`. */
  ear(hz, seconds = 1) {
    const samples = this.heard.slice(-8_000 * seconds);
    return { ...tone(samples, 8_000, hz), samples: samples.length };
  }

  /** The longest time without the tone in what was heard since `from` packets, in ms. */
  gap(hz, from = 0) {
    let [longest, now] = [0, 0];
    for (let at = from * SAMPLES; at + SAMPLES <= this.heard.length; at += SAMPLES) {
      const part = tone(this.heard.slice(at, at + SAMPLES), 8_000, hz);
      now = part.share > 0.5 && part.rms > 0.02 ? 0 : now + 20;
      longest = Math.max(longest, now);
    }
    return longest;
  }

  /** The longest time by the clock from one packet with the tone to the next, since `from` packets, in ms. */
  silence(hz, from = 0) {
    let [longest, latest] = [0, this.times[from] ?? 0];
    for (let n = from; (n + 1) * SAMPLES <= this.heard.length; n += 1) {
      const part = tone(this.heard.slice(n * SAMPLES, (n + 1) * SAMPLES), 8_000, hz);
      if (part.share < 0.5 || part.rms < 0.02) continue;
      longest = Math.max(longest, this.times[n] - latest);
      latest = this.times[n];
    }
    return longest;
  }

  close() {
    clearInterval(this.talking);
    this.sip.close();
    this.rtp.close();
  }

  next(wanted, limit) {
    const found = this.inbox.findIndex(wanted);
    if (found >= 0) return Promise.resolve(this.inbox.splice(found, 1)[0]);
    return new Promise((resolve, reject) => {
      const why = new Error(`the caller waited ${limit} ms in vain`);
      const timer = setTimeout(() => reject(why), limit);
      this.waiters.push({ wanted, resolve: (it) => (clearTimeout(timer), resolve(it)) });
    });
  }

  #sdp() {
    const port = this.rtp.address().port;
    const [types, lines] = this.offersKeys
      ? ["0 101", ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"]]
      : ["0", []];
    return [
      "v=0", `o=- 1 1 IN IP4 ${this.ip}`, "s=-", `c=IN IP4 ${this.ip}`, "t=0 0",
      `m=audio ${port} RTP/AVP ${types}`, "a=rtpmap:0 PCMU/8000", ...lines, "a=ptime:20", "",
    ].join("\r\n");
  }

  #send(method, body = "", { cseq = this.dialog.cseq, branch = this.dialog.branch } = {}) {
    const { target, from, to, callId, contact } = this.dialog;
    const type = body ? ["Content-Type: application/sdp"] : [];
    const text = [
      `${method} ${target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.ip}:${this.sip.address().port};branch=z9hG4bK${branch};rport`,
      "Max-Forwards: 70", `From: ${from}`, `To: ${to}`, `Call-ID: ${callId}`,
      `CSeq: ${cseq} ${method}`, `Contact: ${contact}`, ...type,
      `Content-Length: ${Buffer.byteLength(body)}`, "", body,
    ].join("\r\n");
    this.sip.send(text, this.server.port, this.server.host);
  }

  #onMessage(bytes, from) {
    const message = parse(bytes.toString());
    if (message.method && message.method !== "ACK") this.#answer(message, from);
    if (message.method === "BYE" && this.ended === null) {
      this.ended = performance.now();
      clearInterval(this.talking);
    }
    const waiter = this.waiters.findIndex((it) => it.wanted(message));
    if (waiter >= 0) this.waiters.splice(waiter, 1)[0].resolve(message);
    else this.inbox.push(message);
  }

  /** 200 to whatever the server asks; to an offer, the same description as ever. */
  #answer(request, from) {
    const body = request.body ? this.#sdp() : "";
    const type = body ? ["Content-Type: application/sdp"] : [];
    const text = [
      "SIP/2.0 200 OK", ...request.vias.map((via) => `Via: ${via}`),
      `From: ${request.headers.from}`, `To: ${request.headers.to}`,
      `Call-ID: ${request.headers["call-id"]}`, `CSeq: ${request.cseq}`,
      `Contact: ${this.dialog.contact}`, ...type,
      `Content-Length: ${Buffer.byteLength(body)}`, "", body,
    ].join("\r\n");
    this.sip.send(text, from.port, from.address);
  }

  #listen(sdp) {
    const port = Number(/m=audio (\d+)/.exec(sdp)[1]);
    const host = /c=IN IP4 (\S+)/.exec(sdp)[1];
    this.peer = { host, port };
  }

  /** 20 ms of the tone every 20 ms, by the clock and not by the timer's count. */
  #talk() {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header.writeUInt32BE(0x5eed5eed, 8);
    const began = performance.now();
    let sent = 0;
    const step = (2 * Math.PI * this.hz) / 8_000;
    this.talking = setInterval(() => {
      for (; sent * 20 <= performance.now() - began; sent += 1) {
        header[1] = sent === 0 ? 0x80 : 0;
        header.writeUInt16BE(sent & 0xffff, 2);
        header.writeUInt32BE((sent * SAMPLES) >>> 0, 4);
        const press = this.presses.shift();
        if (press) {
          this.rtp.send(event(header, press, sent), this.peer.port, this.peer.host);
          continue;
        }
        const samples = Array.from({ length: SAMPLES }, (_, n) =>
          encode(0.5 * Math.sin(step * (sent * SAMPLES + n))));
        const packet = Buffer.concat([header, Buffer.from(samples)]);
        this.rtp.send(packet, this.peer.port, this.peer.host);
      }
    }, 10);
  }

  #onPacket(bytes) {
    if (bytes.length < 12 || bytes[0] >> 6 !== 2) return;
    const type = bytes[1] & 0x7f;
    if (type === EVENTS) this.#onEvent(bytes);
    if (type !== 0) return;
    this.received += 1;
    this.times.push(performance.now());
    for (const byte of bytes.subarray(12)) this.heard.push(decode(byte));
  }

  /** A key that came: each of its packets has the time of its beginning. */
  #onEvent(bytes) {
    const began = bytes.readUInt32BE(4);
    if (began === this.latestKey) return;
    this.latestKey = began;
    this.keys += KEYS[bytes[12]] ?? "?";
  }
}

/** One packet of a key (RFC 4733 §2.3): five while it is down, three of its end. */
function event(header, { key, packet }, sent) {
  const head = Buffer.from(header);
  head[1] = EVENTS | (packet === 1 ? 0x80 : 0);
  head.writeUInt32BE(((sent - packet + 1) * SAMPLES) >>> 0, 4);
  const duration = Math.min(packet, 6) * SAMPLES;
  return Buffer.concat([head, Buffer.from([key, (packet > 5 ? 0x80 : 0) | 10, duration >> 8, duration & 0xff])]);
}

function bound(ip, onMessage) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket("udp4");
    socket.on("message", onMessage);
    socket.on("error", reject);
    socket.bind(0, ip, () => resolve(socket));
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
  const method = status ? undefined : first.split(" ")[0];
  return { status, method, headers, vias, cseq: headers.cseq, body };
}

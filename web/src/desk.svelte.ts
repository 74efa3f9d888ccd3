// The desk: who is logged in, what the centre says, the calls, and what each button does.
// The server is right: a button asks, and what is shown changes when the server has said so. Mute alone is ours.

import { type Call, isLive, isTalking, newCall, type Tape, tell } from "./call";
import { tab } from "./kept";
import { type Credential, type Handler, type Link, Refusal } from "./link";
import type { Ask, Context, Done, Fault, Missed, Queue, Said, Status, Taping, Want, Welcome } from "./wire";

/** The part of the phone that the desk uses. */
export interface Media {
  iceServers: RTCIceServer[];
  renegotiate: ((call: string, sdp: string) => Promise<string | undefined>) | null;
  offer(call: string): Promise<string>;
  answered(call: string, sdp: string | null, early: boolean): Promise<void>;
  accept(call: string, sdp: string): Promise<string>;
  again(call: string, sdp: string): Promise<string>;
  mute(call: string, on: boolean): void;
  close(call: string): void;
}

export type Phase = "out" | "entering" | "in" | "back";
/** Something to be told: a word of ours, or a fault. */
export type Notice =
  | { id: number; what: "fault"; fault: Fault }
  | {
      id: number;
      what: "taken" | "gave_up" | "rang_out" | "call_lost" | "merged" | "transferred";
      who: string;
    };
type News = Notice extends infer N ? (N extends Notice ? Omit<N, "id"> : never) : never;

interface Standing {
  state: string;
  since: number;
  next: string | null;
  reason: string | null;
  until: number | null;
}

export class Desk implements Handler {
  phase = $state<Phase>("out");
  fault = $state<Fault | null>(null);
  agent = $state("");
  endpoint = $state("");
  standing = $state<Standing>({ state: "offline", since: 0, next: null, reason: null, until: null });
  queues = $state<Queue[]>([]);
  dispositions = $state<string[]>([]);
  reasons = $state<string[]>([]);
  missed = $state<(Missed & { at: number })[]>([]);
  calls = $state<Call[]>([]);
  chosen = $state<string | null>(null);
  notices = $state<Notice[]>([]);

  live = $derived(this.calls.filter(isLive));
  ringing = $derived(this.calls.filter((it) => it.state === "ringing"));
  /** The call that buttons and keys are about. */
  current = $derived(
    this.live.find((it) => it.id === this.chosen && it.state !== "ringing") ??
      this.live.find((it) => isTalking(it) && !it.held) ??
      this.live.find((it) => it.state !== "ringing") ??
      null,
  );
  /** What is to be written up. */
  finished = $derived(this.calls.filter((it) => it.state === "ended"));

  #offers = new Map<string, string>();
  #count = 0;

  constructor(
    private readonly link: Link,
    private readonly media: Media,
    private readonly now: () => number = Date.now,
  ) {
    link.handler = this;
    media.renegotiate = async (call, sdp) => (await this.link.ask({ type: "renegotiate", call, sdp })).sdp;
  }

  // Coming and going.

  enter(credential: Credential): void {
    this.phase = "entering";
    this.fault = null;
    this.link.open(credential);
  }

  /** Takes up what a reload left; whether there was anything. */
  resume(): boolean {
    const resume = tab.get("resume");
    if (!resume) return false;
    this.phase = "back";
    this.#restore();
    this.link.open({ resume });
    return true;
  }

  async leave(): Promise<void> {
    await this.link.logOut();
    this.#clear(null);
  }

  welcome(welcome: Welcome): void {
    const now = this.now();
    tab.set("resume", welcome.resume ?? null);
    this.phase = "in";
    this.fault = null;
    this.agent = welcome.agent;
    this.endpoint = welcome.endpoint;
    this.dispositions = welcome.dispositions ?? [];
    this.reasons = welcome.break_reasons ?? [];
    this.missed = (welcome.missed ?? []).map((it) => ({ ...it, at: now - (it.ago_ms ?? 0) }));
    this.queues = (welcome.queues ?? []).map((name) => ({ name, waiting: [], agents: {} }));
    this.media.iceServers = welcome.ice_servers ?? [];
    if (welcome.status) this.#stand(welcome.status);
    // What the server does not give back soon is over.
    for (const call of this.live) if (call.state !== "ringing") this.#become(call, "lost");
    for (const call of this.ringing) this.#remove(call);
    const lost = this.live.map((it) => it.id);
    setTimeout(() => {
      for (const id of lost) {
        const call = this.#find(id);
        if (call?.state === "lost") this.#over(call, "", "call_lost");
      }
    }, GIVEN_BACK_WITHIN_MS);
  }

  lost(): void {
    if (this.phase === "in") this.phase = "back";
  }

  over(fault: Fault | null): void {
    this.#clear(fault);
  }

  // What the server says.

  said(message: Said): void {
    switch (message.type) {
      case "status":
        return this.#stand(message);
      case "ring":
        return this.#ring(message.call, message.sdp, message);
      case "attach":
        return void this.#attach(message.call, message.sdp, message);
      case "queues":
        this.queues = message.queues;
        return;
      case "missed":
        this.missed = [{ ...message, at: this.now() - (message.ago_ms ?? 0) }, ...this.missed].slice(
          0,
          MISSED_MAX,
        );
        return;
      case "merged":
        for (const call of this.live) if (message.calls.includes(call.id)) this.#join(call);
        this.#tell({ what: "merged", who: "" });
        return;
      case "done":
      case "refused":
      case "welcome":
      case "bye":
        return;
      default: {
        const call = this.#find(message.call);
        if (call) this.#about(call, message);
      }
    }
  }

  #about(call: Call, message: Extract<Said, { call: string }>): void {
    switch (message.type) {
      case "progress":
        call.remote_rings = true;
        if (message.sdp) this.#media(this.media.answered(call.id, message.sdp, true));
        break;
      case "answered":
        this.#media(this.media.answered(call.id, message.sdp ?? null, false));
        this.#become(call, "talking");
        break;
      case "held":
        if (message.by === "us") call.held = message.on;
        else call.held_by_them = message.on;
        break;
      case "offer":
        this.#media(
          this.media
            .again(call.id, message.sdp)
            .then((sdp) => this.#ask({ type: "answer", call: call.id, sdp })),
        );
        break;
      case "transferred":
        call.transfer = message.state === "done" ? null : message.state;
        if (message.state === "done") this.#tell({ what: "transferred", who: this.#who(call) });
        break;
      case "recording":
        call.tape = tapeOf(message.state);
        break;
      case "quality":
        // The warning comes at once, alone; figures come each second.
        call.quality = { ...call.quality, ...message };
        break;
      case "ended":
        this.#ended(call, message.by ?? "", message.text ?? message.cause ?? "");
        break;
    }
    this.#keep();
  }

  // The buttons.

  async want(want: Want, reason?: string): Promise<void> {
    await this.#ask({ type: "status", want, ...(reason ? { reason } : {}) });
  }

  async answer(call: Call): Promise<void> {
    const offer = this.#offers.get(call.id);
    if (!offer || call.state !== "ringing") return;
    this.#become(call, "joining");
    this.chosen = call.id;
    const talks = this.live.filter((it) => isTalking(it) && !it.held);
    try {
      await Promise.all(talks.map((it) => this.hold(it, true)));
      const sdp = await this.media.accept(call.id, offer);
      await this.link.ask({ type: "answer", call: call.id, sdp });
      this.#joined(call.id, "talking");
      this.#offers.delete(call.id);
    } catch (error) {
      this.media.close(call.id);
      this.#joined(call.id, "ringing");
      this.#fail(error);
    }
  }

  async decline(call: Call, reason?: string): Promise<void> {
    await this.#ask({ type: "decline", call: call.id, ...(reason ? { reason } : {}) });
  }

  async dial(to: string, consult_for: Call | null = null): Promise<void> {
    const target = to.trim();
    if (!target) return;
    this.#count += 1;
    const id = `d${this.now().toString(36)}-${this.#count}`;
    const talks = this.live.filter((it) => isTalking(it) && !it.held);
    const call = { ...newCall(id, "out", "dialing", this.now()), caller: { number: target } };
    call.consult_for = consult_for?.id ?? null;
    this.calls.push(call);
    this.chosen = id;
    try {
      await Promise.all(talks.map((it) => this.hold(it, true)));
      const sdp = await this.media.offer(id);
      await this.link.ask({ type: "dial", call: id, to: target, sdp });
      this.#keep();
    } catch (error) {
      const there = this.#find(id);
      if (there) this.#remove(there);
      this.#fail(error);
    }
  }

  async hangUp(call: Call): Promise<void> {
    await this.#ask({ type: "hang_up", call: call.id });
  }

  async hold(call: Call, on: boolean): Promise<void> {
    if (await this.#ask({ type: "hold", call: call.id, on })) call.held = on;
  }

  /** The held one comes back, the other is held. */
  async retrieve(call: Call): Promise<void> {
    this.chosen = call.id;
    const talks = this.live.filter((it) => it.id !== call.id && isTalking(it) && !it.held && !it.merged);
    await Promise.all(talks.map((it) => this.hold(it, true)));
    await this.hold(call, false);
  }

  mute(call: Call, on: boolean): void {
    call.muted = on;
    this.media.mute(call.id, on);
    this.#keep();
  }

  async key(call: Call, digit: string): Promise<void> {
    await this.#ask({ type: "key", call: call.id, digit });
  }

  async transfer(call: Call, to: string): Promise<void> {
    if (!to.trim()) return;
    call.transfer = "trying";
    if (!(await this.#ask({ type: "transfer", call: call.id, to: to.trim() }))) call.transfer = "failed";
  }

  /** The one asked about goes to the one who was asked. */
  async complete(consult: Call): Promise<void> {
    const first = this.#find(consult.consult_for);
    if (first) await this.#ask({ type: "complete", call: first.id, with: consult.id });
  }

  async merge(consult: Call): Promise<void> {
    const first = this.#find(consult.consult_for);
    if (first) await this.#ask({ type: "merge", calls: [first.id, consult.id] });
  }

  /** The consultation ends, and the first call comes back. */
  async drop(consult: Call): Promise<void> {
    const first = this.#find(consult.consult_for);
    await this.hangUp(consult);
    if (first) await this.retrieve(first);
  }

  async record(call: Call, taping: Taping): Promise<void> {
    await this.#ask({ type: "record", call: call.id, do: taping });
  }

  async pick(queue: string, waiting: string): Promise<void> {
    await this.#ask({ type: "pick", queue, waiting });
  }

  async note(call: Call, text: string): Promise<void> {
    call.note = text;
    this.#keep();
    await this.#ask({ type: "note", call: call.id, text });
  }

  async dispose(call: Call, code: string): Promise<void> {
    if (!(await this.#ask({ type: "dispose", call: call.id, code }))) return;
    call.disposition = code;
    this.#keep();
  }

  async wrapUp(what: "end" | "extend"): Promise<void> {
    await this.#ask({ type: "wrap_up", do: what });
  }

  /** The writing-up of a call is done. */
  async finish(call: Call): Promise<void> {
    this.#remove(call);
    if (this.standing.state === "wrap_up" && this.finished.length === 0) await this.wrapUp("end");
  }

  dismiss(notice: Notice): void {
    this.notices = this.notices.filter((it) => it.id !== notice.id);
  }

  // Inside.

  #stand(status: Status): void {
    const now = this.now();
    this.standing = {
      state: status.state,
      since: now - (status.since_ms ?? 0),
      next: status.next ?? null,
      reason: status.reason ?? null,
      until: typeof status.until_ms === "number" ? now + status.until_ms : null,
    };
  }

  #ring(id: string, sdp: string, context: Context): void {
    this.#offers.set(id, sdp);
    const known = this.#find(id);
    if (known) return tell(known, context, this.now());
    const call = newCall(id, "in", "ringing", this.now());
    tell(call, context, this.now());
    this.calls.push(call);
  }

  /** The server gives a call back that a reload or a lost socket had taken from us. */
  async #attach(id: string, sdp: string, context: Context): Promise<void> {
    let call = this.#find(id);
    if (!call) {
      this.calls.push(newCall(id, "in", "lost", this.now()));
      call = this.#find(id);
    }
    if (!call) return;
    tell(call, context, this.now());
    call.rings_until = null;
    this.media.mute(id, call.muted);
    try {
      const answer = await this.media.accept(id, sdp);
      await this.link.ask({ type: "attach", call: id, sdp: answer });
      call.state = "talking";
      this.#keep();
    } catch (error) {
      this.#fail(error);
    }
  }

  #ended(call: Call, by: string, text: string): void {
    if (call.state === "ringing") {
      const what = by === "other-agent" ? "taken" : by === "caller" || by === "them" ? "gave_up" : "rang_out";
      if (by !== "us") this.#tell({ what, who: this.#who(call) });
      return this.#remove(call);
    }
    this.#over(call, by, null, text);
  }

  #over(call: Call, by: string, what: "call_lost" | null, text = ""): void {
    const talked = call.state === "talking" || call.state === "lost";
    this.media.close(call.id);
    if (what) this.#tell({ what, who: this.#who(call) });
    // A consultation, or a call that came to nothing, is not written up.
    if (!talked || call.consult_for) {
      if (!talked && call.direction === "out" && by !== "us") {
        this.#tell({ what: "fault", fault: { id: "call-failed", message: text } });
      }
      this.#remove(call);
    } else {
      call.ended = { by, text };
      call.quality = null;
      this.#become(call, "ended");
      this.calls = [...this.live, ...this.finished.slice(-FINISHED_MAX)];
    }
    if (this.chosen === call.id) this.chosen = null;
    this.#keep();
  }

  #join(call: Call): void {
    call.merged = true;
    call.held = false;
  }

  /** What an answer came to, unless the call has ended meanwhile. */
  #joined(id: string, state: "talking" | "ringing"): void {
    const call = this.#find(id);
    if (call?.state === "joining") this.#become(call, state);
    this.#keep();
  }

  #become(call: Call, state: Call["state"]): void {
    if (call.state === state) return;
    const back = call.state === "lost" && state === "talking";
    call.state = state;
    if (!back && state !== "lost") call.since = this.now();
  }

  #remove(call: Call): void {
    this.media.close(call.id);
    this.#offers.delete(call.id);
    this.calls = this.calls.filter((it) => it.id !== call.id);
    if (this.chosen === call.id) this.chosen = null;
    this.#keep();
  }

  /** Asks; a refusal is told, and `null`. */
  async #ask(request: Ask): Promise<Done | null> {
    try {
      return await this.link.ask(request);
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  #media(done: Promise<unknown>): void {
    done.catch((error) => this.#fail(error));
  }

  #fail(error: unknown): void {
    const fault =
      error instanceof Refusal
        ? error.fault
        : { id: error instanceof DOMException ? error.name : "desk-fault", message: String(error) };
    this.#tell({ what: "fault", fault });
  }

  #tell(news: News): void {
    this.#count += 1;
    this.notices = [...this.notices.slice(1 - NOTICES_MAX), { id: this.#count, ...news } as Notice];
  }

  #who(call: Call): string {
    return call.caller.name || call.caller.number || "";
  }

  #find(id: string | null): Call | undefined {
    return this.calls.find((it) => it.id === id);
  }

  #clear(fault: Fault | null): void {
    for (const call of this.calls) this.media.close(call.id);
    tab.set("resume", null);
    tab.set("calls", null);
    this.phase = "out";
    this.fault = fault;
    this.calls = [];
    this.queues = [];
    this.missed = [];
    this.notices = [];
    this.standing = { state: "offline", since: 0, next: null, reason: null, until: null };
    this.#offers.clear();
  }

  /** Keeps what the server does not know, for a reload. */
  #keep(): void {
    const calls = this.calls.filter((it) => it.state !== "ringing").map((it) => ({ ...it, quality: null }));
    tab.set("calls", JSON.stringify(calls));
  }

  #restore(): void {
    try {
      const calls: Call[] = JSON.parse(tab.get("calls") ?? "[]");
      this.calls = calls.map((it) => ({ ...it, state: it.state === "ended" ? "ended" : "lost" }));
    } catch {
      this.calls = [];
    }
  }
}

const tapeOf = (state: string): Tape =>
  state === "recording" ? "on" : state === "paused" ? "paused" : "off";

const GIVEN_BACK_WITHIN_MS = 6_000;
const MISSED_MAX = 20;
const FINISHED_MAX = 5;
const NOTICES_MAX = 4;

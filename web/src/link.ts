// The way to the server: one WebSocket at a time, requests with their answers, and a new socket by the resume
// token when one is lost.
//
//   idle ── open(token) ──▶ opening ──▶ welcome ──▶ up ── lost ──▶ waiting ── resume ──▶ opening …
//     ▲                        └── refused ──┐                └── no resume token ──┐
//     └───────────────────────────────────────┴───────────── bye, log out ◀─────────┘

import { type Ask, type Done, type Fault, type Said, SUBPROTOCOL, type Welcome } from "./wire";

/** The part of a WebSocket that the link uses; a test brings another. */
export interface Socket {
  readonly readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  send(text: string): void;
  close(): void;
}

export interface Handler {
  /** Logged in, or back. */
  welcome(welcome: Welcome): void;
  /** Anything but answers and the welcome. */
  said(message: Said): void;
  /** The socket is gone; the link tries again by itself. */
  lost(): void;
  /** It will not try again: why, if the server said so. */
  over(fault: Fault | null): void;
}

/** A request that the server refused, or that got no answer. */
export class Refusal extends Error {
  constructor(readonly fault: Fault) {
    super(fault.message);
  }
}

type State = "idle" | "opening" | "up" | "waiting";
/** A token of the API, the tab's way back, or what a phone would register with. */
export type Credential = { token: string } | { resume: string } | { endpoint: string; password: string };
interface Pending {
  resolve: (done: Done) => void;
  reject: (refusal: Refusal) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Link {
  state: State = "idle";
  #socket: Socket | null = null;
  #resume: string | null = null;
  #pending = new Map<number, Pending>();
  #next = 1;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  handler: Handler | null = null;

  constructor(
    private readonly connect: () => Socket,
    private readonly random: () => number = Math.random,
  ) {}

  open(credential: Credential): void {
    this.#end();
    this.#tries = 0;
    this.#dial(credential);
  }

  /** Asks for something; refused if the answer is no, late or impossible. */
  ask(request: Ask): Promise<Done> {
    const socket = this.#socket;
    if (!socket || (this.state !== "up" && request.type !== "login")) {
      return Promise.reject(new Refusal({ id: "desk-offline", message: "no connection" }));
    }
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#pending.delete(id);
        reject(new Refusal({ id: "desk-no-answer", message: "the server did not answer" }));
      };
      this.#pending.set(id, { resolve, reject, timer: setTimeout(late, ANSWER_PATIENCE_MS) });
      socket.send(JSON.stringify({ ...request, id }));
    });
  }

  /** Ends it for good, politely. */
  async logOut(): Promise<void> {
    if (this.state === "up") await this.ask({ type: "log_out" }).catch(() => {});
    this.#end();
  }

  /** Tries at once instead of later: the network is back. */
  hurry(): void {
    if (this.state === "waiting" && this.#resume) this.#dial({ resume: this.#resume });
  }

  #dial(credential: Credential): void {
    clearTimeout(this.#timer);
    this.state = "opening";
    const socket = this.connect();
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#gone(socket), OPEN_PATIENCE_MS);
    socket.onopen = () => {
      this.ask({ type: "login", ...credential }).catch((refusal: Refusal) => {
        if (this.#socket !== socket || !this.#isFinal(refusal)) return;
        this.#end();
        this.handler?.over(refusal.fault);
      });
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#take(String(data));
    };
    socket.onclose = () => this.#gone(socket);
  }

  /** Whether a login's refusal is the server's word and not the network's. */
  #isFinal({ fault }: Refusal): boolean {
    return fault.id !== "desk-offline" && fault.id !== "desk-no-answer";
  }

  #take(text: string): void {
    let message: Said;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    switch (message.type) {
      case "done":
      case "refused": {
        const id = message.id ?? 0;
        const pending = this.#pending.get(id);
        if (!pending) return;
        this.#pending.delete(id);
        clearTimeout(pending.timer);
        if (message.type === "done") pending.resolve(message);
        else pending.reject(new Refusal(message.error));
        return;
      }
      case "welcome":
        clearTimeout(this.#timer);
        this.state = "up";
        this.#tries = 0;
        this.#resume = message.resume ?? null;
        this.handler?.welcome(message);
        return;
      case "bye":
        if (COMES_BACK.has(message.reason ?? "")) return;
        this.#end();
        this.handler?.over({ id: message.reason ?? "bye", message: message.reason ?? "" });
        return;
      default:
        this.handler?.said(message);
    }
  }

  #gone(socket: Socket): void {
    if (this.#socket !== socket) return;
    this.#drop();
    this.handler?.lost();
    if (!this.#resume) {
      this.state = "idle";
      this.handler?.over({ id: "desk-offline", message: "no connection" });
      return;
    }
    this.state = "waiting";
    // Thousands of desks lose one server at once: each waits a time of its own.
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#tries);
    this.#tries += 1;
    const resume = this.#resume;
    this.#timer = setTimeout(() => this.#dial({ resume }), ceiling * (0.25 + 0.75 * this.random()));
  }

  #end(): void {
    this.#drop();
    this.#resume = null;
    this.state = "idle";
  }

  #drop(): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = null;
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new Refusal({ id: "desk-offline", message: "no connection" }));
    }
    this.#pending.clear();
  }
}

/** Logs in by name and password: what the desk's socket is opened with. */
export async function logIn(agent: string, password: string): Promise<Credential> {
  const response = await fetch("/v1/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agent, password }),
  }).catch(() => null);
  if (!response) throw new Refusal({ id: "desk-offline", message: "no connection" });
  const body = await response.json().catch(() => ({}));
  if (response.ok && typeof body.token === "string") return { token: body.token };
  const status = response.status;
  // A server whose API mints no tokens: the name is that of an endpoint.
  if (status === 404) return { endpoint: agent, password };
  throw new Refusal(body.error ?? { id: `http-${status}`, message: `the server answered ${status}` });
}

export const socketAt = (place: Location) => (): Socket => {
  const scheme = place.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(`${scheme}//${place.host}/desk`, SUBPROTOCOL) as Socket;
};

/** Byes after which the server takes the same desk again. */
const COMES_BACK = new Set(["restart"]);
const ANSWER_PATIENCE_MS = 10_000;
const OPEN_PATIENCE_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

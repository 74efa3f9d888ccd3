// One call as the desk shows it, and how the server's words change it.

import type { Context, Party, Quality } from "./wire";

/**
 * ringing ── answer ──▶ joining ──▶ talking ──▶ ended
 * dialing ── progress ──▶ dialing ── answered ──▶ talking
 * lost: the socket or the page went, and the call waits to be given back.
 */
export type CallState = "ringing" | "joining" | "dialing" | "talking" | "lost" | "ended";
export type Tape = "off" | "on" | "paused";

export interface Call {
  id: string;
  direction: "in" | "out";
  state: CallState;
  /** When the state began, by our clock. */
  since: number;
  caller: Party;
  queue: string | null;
  /** When the caller began to wait, by our clock. */
  waiting_since: number | null;
  /** When it stops ringing here. */
  rings_until: number | null;
  path: string[];
  attributes: [string, string][];
  /** The far end rings, as far as we know. */
  remote_rings: boolean;
  held: boolean;
  held_by_them: boolean;
  muted: boolean;
  tape: Tape;
  quality: Quality | null;
  /** The call whose party is asked about in this one. */
  consult_for: string | null;
  /** Calls that talk together with this one. */
  merged: boolean;
  transfer: "trying" | "failed" | null;
  note: string;
  disposition: string | null;
  ended: { by: string; text: string } | null;
}

export function newCall(id: string, direction: "in" | "out", state: CallState, now: number): Call {
  return {
    id,
    direction,
    state,
    since: now,
    caller: {},
    queue: null,
    waiting_since: null,
    rings_until: null,
    path: [],
    attributes: [],
    remote_rings: false,
    held: false,
    held_by_them: false,
    muted: false,
    tape: "off",
    quality: null,
    consult_for: null,
    merged: false,
    transfer: null,
    note: "",
    disposition: null,
    ended: null,
  };
}

/** Puts what the server knows of a caller into a call; what it leaves out stays. */
export function tell(call: Call, context: Context, now: number): void {
  if (context.caller) call.caller = context.caller;
  if (context.queue) call.queue = context.queue;
  if (typeof context.waited_ms === "number") call.waiting_since = now - context.waited_ms;
  if (context.path?.length) call.path = context.path;
  if (context.attributes) call.attributes = Object.entries(context.attributes);
  call.rings_until = typeof context.timeout_ms === "number" ? now + context.timeout_ms : call.rings_until;
}

export function nameOf(caller: Party | null | undefined): string | null {
  return caller?.name || caller?.number || null;
}

export const isLive = (call: Call): boolean => call.state !== "ended";
export const isTalking = (call: Call): boolean => call.state === "talking";

/** How good it sounds: G.107's scale in three words. */
export function grade(quality: Quality | null): "good" | "fair" | "poor" | null {
  const mos = quality?.mos;
  if (typeof mos !== "number") return null;
  return mos >= 4 ? "good" : mos >= 3.4 ? "fair" : "poor";
}

/** They cannot hear us although nothing here keeps them from it. */
export const isUnheard = (call: Call): boolean =>
  isTalking(call) && !call.muted && !call.held && !call.held_by_them && call.quality?.unheard === true;

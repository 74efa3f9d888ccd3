import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Handler, Link, Refusal, type Socket } from "../src/link";

class Wire implements Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const WELCOME = { type: "welcome", agent: "anna", endpoint: "anna", resume: "r1" };

function world() {
  const wires: Wire[] = [];
  const told: unknown[] = [];
  const handler: Handler = {
    welcome: (it) => told.push(["welcome", it.resume]),
    said: (it) => told.push(["said", it.type]),
    lost: () => told.push("lost"),
    over: (fault) => told.push(["over", fault?.id]),
  };
  const open = () => {
    const wire = new Wire();
    wires.push(wire);
    return wire;
  };
  const link = new Link(open, () => 1);
  link.handler = handler;
  const wire = () => wires[wires.length - 1] as Wire;
  const enter = () => {
    link.open({ token: "t" });
    wire().onopen?.();
    wire().say(WELCOME);
  };
  return { link, wires, wire, told, enter };
}

describe("the link", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("logs in with the token, and is up with the welcome", () => {
    const { link, wire, told, enter } = world();
    enter();
    expect(wire().sent[0]).toEqual({ type: "login", token: "t", id: 1 });
    expect([link.state, told]).toEqual(["up", [["welcome", "r1"]]]);
  });

  it("gives each request its own answer, in whatever order they come", async () => {
    const { link, wire, enter } = world();
    enter();
    const one = link.ask({ type: "hold", call: "a", on: true });
    const two = link.ask({ type: "renegotiate", call: "a", sdp: "x" });
    const [, first, second] = wire().sent;
    wire().say({ type: "done", id: second?.id, sdp: "y" });
    wire().say({ type: "refused", id: first?.id, error: { id: "no", message: "no" } });
    expect((await two).sdp).toBe("y");
    await expect(one).rejects.toThrow(Refusal);
  });

  it("refuses a request that gets no answer within ten seconds", async () => {
    const { link, enter } = world();
    enter();
    const late = expect(link.ask({ type: "log_out" })).rejects.toMatchObject({
      fault: { id: "desk-no-answer" },
    });
    await vi.advanceTimersByTimeAsync(10_000);
    await late;
  });

  it("comes back by the resume token when the socket is lost, later each time", async () => {
    const { link, wires, wire, told, enter } = world();
    enter();
    const hanging = expect(link.ask({ type: "log_out" })).rejects.toMatchObject({
      fault: { id: "desk-offline" },
    });
    wire().onclose?.();
    await hanging;
    expect([link.state, told.at(-1)]).toEqual(["waiting", "lost"]);
    for (const [count, wait] of [
      [2, 500],
      [3, 1_000],
      [4, 2_000],
    ] as const) {
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(wires.length).toBe(count - 1);
      await vi.advanceTimersByTimeAsync(1);
      expect(wires.length).toBe(count);
      if (count < 4) wire().onclose?.();
    }
    wire().onopen?.();
    expect(wire().sent[0]).toMatchObject({ type: "login", resume: "r1" });
    wire().say({ ...WELCOME, resume: "r2" });
    expect(told.at(-1)).toEqual(["welcome", "r2"]);
  });

  it("never waits longer than fifteen seconds", async () => {
    const { wires, wire, enter } = world();
    enter();
    for (let n = 0; n < 12; n += 1) {
      wire().onclose?.();
      const before = wires.length;
      await vi.advanceTimersByTimeAsync(15_000);
      expect(wires.length).toBeGreaterThan(before);
    }
  });

  it("tries at once when the network is back", () => {
    const { link, wires, wire, enter } = world();
    enter();
    wire().onclose?.();
    link.hurry();
    expect(wires.length).toBe(2);
  });

  it("ends when the server refuses the login, and does not try again", async () => {
    const { link, wires, wire, told } = world();
    link.open({ resume: "old" });
    wire().onopen?.();
    wire().say({ type: "refused", id: 1, error: { id: "resume-unknown", message: "no" } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([link.state, wires.length, told]).toEqual(["idle", 1, [["over", "resume-unknown"]]]);
  });

  it("ends with a bye, and comes back after one that says that the server restarts", async () => {
    for (const [reason, sockets] of [
      ["credential-ended", 1],
      ["restart", 2],
    ] as const) {
      const { wires, wire, enter } = world();
      enter();
      const old = wire();
      old.say({ type: "bye", reason });
      old.onclose?.();
      await vi.advanceTimersByTimeAsync(60);
      await vi.advanceTimersByTimeAsync(440);
      expect(wires.length).toBe(sockets);
    }
  });

  it("takes no word from a socket that it has left, nor one that is no JSON", () => {
    const { wires, wire, told, enter, link } = world();
    enter();
    wire().onmessage?.({ data: "{" });
    const [old] = wires;
    const ear = old?.onmessage;
    link.open({ token: "t2" });
    ear?.({ data: JSON.stringify({ type: "queues", queues: [] }) });
    expect(told).toEqual([["welcome", "r1"]]);
    expect(old?.closed).toBe(true);
  });
});

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Call } from "../src/call";
import { Desk, type Media } from "../src/desk.svelte";
import { type Link, Refusal } from "../src/link";
import type { Ask, Done, Said, Welcome } from "../src/wire";

const WELCOME: Welcome = {
  agent: "anna",
  endpoint: "anna",
  queues: ["sales"],
  dispositions: ["sold"],
  break_reasons: ["lunch"],
  resume: "r",
  ice_servers: [],
  status: { state: "available", since_ms: 5_000 },
};

function world() {
  const asked: Ask[] = [];
  const did: string[] = [];
  const refused = new Map<string, string>();
  const link = {
    handler: null,
    open: (credential: object) => did.push(`open ${JSON.stringify(credential)}`),
    ask: async (request: Ask): Promise<Done> => {
      asked.push(request);
      const id = refused.get(request.type);
      if (id) throw new Refusal({ id, message: `no ${request.type}` });
      return {};
    },
    logOut: async () => {},
  };
  const media: Media = {
    iceServers: [],
    renegotiate: null,
    offer: async (call) => `offer of ${call}`,
    answered: async (call, sdp, early) => void did.push(`answered ${call} ${sdp} ${early}`),
    accept: async (call, sdp) => `answer of ${call} to ${sdp}`,
    again: async (call, sdp) => `again of ${call} to ${sdp}`,
    mute: (call, on) => did.push(`mute ${call} ${on}`),
    close: (call) => did.push(`close ${call}`),
  };
  const time = { now: 1_000_000 };
  const desk = new Desk(link as unknown as Link, media, () => time.now);
  desk.welcome(WELCOME);
  const say = (...messages: Said[]) => {
    for (const message of messages) desk.said(message);
  };
  const ring = (call = "a", context: object = {}) => {
    say({ type: "ring", call, sdp: `sdp-${call}`, caller: { name: "Max", number: "+49301" }, ...context });
    return find(call);
  };
  const find = (id: string): Call => {
    const call = desk.calls.find((it) => it.id === id);
    if (!call) throw new Error(`no call ${id}`);
    return call;
  };
  const talk = async (call = "a") => {
    await desk.answer(ring(call));
    return find(call);
  };
  return { desk, asked, did, refused, time, say, ring, find, talk };
}

const kept = new Map<string, string>();
vi.stubGlobal("sessionStorage", {
  getItem: (name: string) => kept.get(name) ?? null,
  setItem: (name: string, value: string) => void kept.set(name, value),
  removeItem: (name: string) => void kept.delete(name),
});

describe("the desk", () => {
  beforeEach(() => kept.clear());

  it("shows who is logged in and since when he does what he does", () => {
    const { desk, time } = world();
    expect([desk.phase, desk.agent, desk.standing.state]).toEqual(["in", "anna", "available"]);
    expect(time.now - desk.standing.since).toBe(5_000);
  });

  it("rings with what is known of the caller", () => {
    const { ring, time } = world();
    const call = ring("a", {
      queue: "sales",
      waited_ms: 4_000,
      path: ["main", "buy"],
      attributes: { tier: "gold" },
      timeout_ms: 20_000,
    });
    expect(call.caller).toEqual({ name: "Max", number: "+49301" });
    expect([call.queue, call.path, call.attributes]).toEqual(["sales", ["main", "buy"], [["tier", "gold"]]]);
    expect([call.waiting_since, call.rings_until]).toEqual([time.now - 4_000, time.now + 20_000]);
  });

  it("answers with the media's answer, and talks when the server has said so", async () => {
    const { desk, asked, talk } = world();
    const call = await talk();
    expect(asked).toEqual([{ type: "answer", call: "a", sdp: "answer of a to sdp-a" }]);
    expect([call.state, desk.current?.id]).toEqual(["talking", "a"]);
  });

  it("goes on ringing when the answer is refused, and says why", async () => {
    const { desk, refused, ring, did } = world();
    refused.set("answer", "call-gone");
    const call = ring();
    await desk.answer(call);
    expect([call.state, desk.notices.map((it) => it.what)]).toEqual(["ringing", ["fault"]]);
    expect(did).toContain("close a");
  });

  it("holds the call that talks when another is answered", async () => {
    const { talk, ring, desk, asked, find } = world();
    await talk("a");
    await desk.answer(ring("b"));
    expect(asked[1]).toEqual({ type: "hold", call: "a", on: true });
    expect([find("a").held, find("b").held, desk.current?.id]).toEqual([true, false, "b"]);
  });

  it("stops ringing and says so when another agent answers or the caller gives up", () => {
    for (const [by, what] of [
      ["other-agent", "taken"],
      ["caller", "gave_up"],
      ["timeout", "rang_out"],
    ] as const) {
      const { desk, ring, say } = world();
      ring();
      say({ type: "ended", call: "a", by });
      expect([desk.calls.length, desk.notices.map((it) => it.what)]).toEqual([0, [what]]);
    }
  });

  it("says nothing of a call that it declined itself", async () => {
    const { desk, ring, say, asked } = world();
    await desk.decline(ring(), "busy");
    say({ type: "ended", call: "a", by: "us" });
    expect(asked).toEqual([{ type: "decline", call: "a", reason: "busy" }]);
    expect([desk.calls.length, desk.notices.length]).toEqual([0, 0]);
  });

  it("dials, hears early media, and talks when it is answered", async () => {
    const { desk, asked, say, did } = world();
    await desk.dial(" 700 ");
    const call = desk.calls[0] as Call;
    expect(asked).toEqual([{ type: "dial", call: call.id, to: "700", sdp: `offer of ${call.id}` }]);
    say(
      { type: "progress", call: call.id, state: "early", sdp: "e" },
      { type: "answered", call: call.id, sdp: "f" },
    );
    expect(did.slice(-2)).toEqual([`answered ${call.id} e true`, `answered ${call.id} f false`]);
    expect([call.state, call.remote_rings]).toEqual(["talking", true]);
  });

  it("takes back a call that may not be made", async () => {
    const { desk, refused } = world();
    refused.set("dial", "destination-denied");
    await desk.dial("700");
    expect([desk.calls.length, desk.notices[0]?.what]).toEqual([0, "fault"]);
  });

  it("consults: the first is held; swap, merge and complete name both", async () => {
    const { desk, asked, talk, say, find } = world();
    const first = await talk();
    await desk.dial("ben", first);
    const consult = desk.current as Call;
    say({ type: "answered", call: consult.id, sdp: "s" });
    expect([find("a").held, consult.consult_for]).toEqual([true, "a"]);
    await desk.retrieve(first);
    expect([first.held, consult.held, desk.current?.id]).toEqual([false, true, "a"]);
    await desk.merge(consult);
    await desk.complete(consult);
    expect(asked.slice(-2)).toEqual([
      { type: "merge", calls: ["a", consult.id] },
      { type: "complete", call: "a", with: consult.id },
    ]);
    say({ type: "merged", calls: ["a", consult.id] });
    expect([first.merged, first.held, consult.merged, consult.held]).toEqual([true, false, true, false]);
  });

  it("drops a consultation and goes back to the first", async () => {
    const { desk, asked, talk, say } = world();
    const first = await talk();
    await desk.dial("ben", first);
    const consult = desk.current as Call;
    say({ type: "answered", call: consult.id, sdp: "s" });
    await desk.drop(consult);
    expect(asked.at(-1)).toEqual({ type: "hold", call: "a", on: false });
    expect(asked).toContainEqual({ type: "hang_up", call: consult.id });
  });

  it("shows hold of either side, recording, transfer and quality as the server says", async () => {
    const { talk, say } = world();
    const call = await talk();
    say(
      { type: "held", call: "a", on: true, by: "them" },
      { type: "recording", call: "a", state: "recording" },
      { type: "transferred", call: "a", state: "failed", status: 486 },
      { type: "quality", call: "a", mos: 4.2, loss: 0.01, jitter_ms: 3, unheard: true },
    );
    expect([call.held, call.held_by_them, call.tape, call.transfer]).toEqual([false, true, "on", "failed"]);
    expect(call.quality).toMatchObject({ mos: 4.2, unheard: true });
    say({ type: "recording", call: "a", state: "paused" });
    expect(call.tape).toBe("paused");
  });

  it("does not show a hold that the server refused", async () => {
    const { desk, refused, talk } = world();
    const call = await talk();
    refused.set("hold", "busy");
    await desk.hold(call, true);
    expect([call.held, desk.notices.length]).toEqual([false, 1]);
  });

  it("keeps a call to be written up when it is over, and ends wrap-up with the last", async () => {
    const { desk, asked, talk, say } = world();
    const call = await talk();
    await desk.note(call, "wants a ship");
    await desk.dispose(call, "sold");
    say(
      { type: "ended", call: "a", by: "them" },
      { type: "status", state: "wrap_up", since_ms: 0, until_ms: 30_000 },
    );
    expect(desk.finished.map((it) => [it.id, it.note, it.disposition, it.ended?.by])).toEqual([
      ["a", "wants a ship", "sold", "them"],
    ]);
    await desk.finish(call);
    expect([desk.calls.length, asked.at(-1)]).toEqual([0, { type: "wrap_up", do: "end" }]);
  });

  it("mutes by itself, and is still mute when the call is given back", async () => {
    const { desk, talk, say, did } = world();
    const call = await talk();
    desk.mute(call, true);
    expect([call.muted, did.at(-1)]).toEqual([true, "mute a true"]);
    desk.lost();
    desk.welcome(WELCOME);
    expect(call.state).toBe("lost");
    say({ type: "attach", call: "a", sdp: "again" });
    await vi.waitFor(() => expect(call.state).toBe("talking"));
    expect(did.at(-1)).toBe("mute a true");
  });

  it("survives a reload: the calls, their notes and what is muted", async () => {
    const before = world();
    const call = await before.talk();
    before.desk.mute(call, true);
    await before.desk.note(call, "n");
    const after = world();
    const fresh = after.desk;
    expect(fresh.resume()).toBe(true);
    expect(fresh.calls.map((it) => [it.id, it.state, it.note, it.muted])).toEqual([["a", "lost", "n", true]]);
    after.say({ type: "attach", call: "a", sdp: "again", queue: "sales" });
    await vi.waitFor(() => expect(after.find("a").state).toBe("talking"));
    expect(after.asked).toEqual([{ type: "attach", call: "a", sdp: "answer of a to again" }]);
    expect([after.find("a").since, after.find("a").queue]).toEqual([call.since, "sales"]);
  });

  it("ends a call that the server does not give back", async () => {
    vi.useFakeTimers();
    const { desk, talk, did } = world();
    await talk();
    desk.lost();
    desk.welcome(WELCOME);
    await vi.advanceTimersByTimeAsync(6_000);
    vi.useRealTimers();
    expect([desk.live.length, desk.notices.map((it) => it.what), did.at(-1)]).toEqual([
      0,
      ["call_lost"],
      "close a",
    ]);
  });

  it("answers an offer inside a call", async () => {
    const { asked, talk, say } = world();
    await talk();
    say({ type: "offer", call: "a", sdp: "o" });
    await vi.waitFor(() =>
      expect(asked.at(-1)).toEqual({ type: "answer", call: "a", sdp: "again of a to o" }),
    );
  });

  it("forgets everything when it is logged out", async () => {
    const { desk, talk, did } = world();
    await talk();
    await desk.leave();
    expect([desk.phase, desk.calls.length, kept.size, did.at(-1)]).toEqual(["out", 0, 0, "close a"]);
  });

  it("takes a caller out of turn, and says when another was faster", async () => {
    const { desk, asked, refused } = world();
    await desk.pick("sales", "w1");
    expect(asked).toEqual([{ type: "pick", queue: "sales", waiting: "w1" }]);
    refused.set("pick", "pick-taken");
    await desk.pick("sales", "w1");
    expect(desk.notices).toMatchObject([{ what: "fault", fault: { id: "pick-taken" } }]);
  });

  it("keeps at most so many notices and missed calls", () => {
    const { desk, say, ring } = world();
    for (let n = 0; n < 30; n += 1) {
      ring(`c${n}`);
      say(
        { type: "ended", call: `c${n}`, by: "caller" },
        { type: "missed", caller: { number: `${n}` }, ago_ms: 0 },
      );
    }
    expect([desk.notices.length, desk.missed.length, desk.missed[0]?.caller?.number]).toEqual([4, 20, "29"]);
  });
});

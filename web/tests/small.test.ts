import { describe, expect, it } from "vitest";
import { grade, isUnheard, nameOf, newCall, tell } from "../src/call";
import { keyName, SHORTCUTS, shortcutOf } from "../src/keys";
import { loudness } from "../src/loudness";
import { duration, LANGUAGES, preferred } from "../src/words";

describe("words", () => {
  it("are the same in every language, and never empty", () => {
    const shape = (it: unknown): unknown =>
      typeof it === "object" && it !== null
        ? Object.fromEntries(Object.entries(it).map(([k, v]) => [k, shape(v)]))
        : typeof it;
    const english = shape(LANGUAGES.en);
    for (const words of Object.values(LANGUAGES)) {
      expect(shape(words)).toEqual(english);
      const texts = Object.values(words).flatMap((it) => (typeof it === "object" ? Object.values(it) : [it]));
      for (const text of texts) expect(text).not.toBe("");
    }
  });

  it("are those that the browser prefers among ours", () => {
    expect(preferred(["fr", "de-AT", "en"])).toBe("de");
    expect(preferred(["fr"])).toBe("en");
  });

  it("count minutes, and hours where there are any", () => {
    expect([0, 65_400, 3_661_000, -5].map(duration)).toEqual(["0:00", "1:05", "1:01:01", "0:00"]);
  });
});

describe("a call", () => {
  it("keeps what the server leaves out when it tells again", () => {
    const call = newCall("a", "in", "ringing", 0);
    tell(call, { caller: { name: "Max" }, queue: "sales", path: ["x"], attributes: { a: "b" } }, 0);
    tell(call, {}, 10);
    expect([call.caller.name, call.queue, call.path, call.attributes]).toEqual([
      "Max",
      "sales",
      ["x"],
      [["a", "b"]],
    ]);
  });

  it("is unheard only where nothing of ours is the reason", () => {
    const call = newCall("a", "in", "talking", 0);
    call.quality = { unheard: true };
    expect(isUnheard(call)).toBe(true);
    for (const key of ["muted", "held", "held_by_them"] as const)
      expect(isUnheard({ ...call, [key]: true })).toBe(false);
    expect(isUnheard({ ...call, state: "ended" })).toBe(false);
  });

  it("is good, fair or poor by its MOS", () => {
    expect([4.3, 3.7, 2.9, undefined].map((mos) => grade({ mos }))).toEqual(["good", "fair", "poor", null]);
  });

  it("is called by name, else by number", () => {
    expect([nameOf({ name: "Max", number: "1" }), nameOf({ number: "1" }), nameOf({}), nameOf(null)]).toEqual(
      ["Max", "1", null, null],
    );
  });
});

describe("shortcuts", () => {
  it("need Alt and Shift and nothing else, and each is there once", () => {
    const event = { altKey: true, shiftKey: true, ctrlKey: false, metaKey: false, code: "KeyA" };
    expect(shortcutOf(event)?.code).toBe("KeyA");
    for (const change of [
      { altKey: false },
      { shiftKey: false },
      { ctrlKey: true },
      { metaKey: true },
      { code: "KeyZ" },
    ]) {
      expect(shortcutOf({ ...event, ...change })).toBeNull();
    }
    expect(new Set(SHORTCUTS.map((it) => it.code)).size).toBe(SHORTCUTS.length);
    expect(keyName("KeyA")).toBe("Alt + Shift + A");
  });
});

describe("loudness", () => {
  it("is 1 at full scale, less by a sixtieth for each dB, and 0 in silence", () => {
    expect(loudness(new Float32Array(100))).toBe(0);
    expect(loudness(new Float32Array(100).fill(1))).toBe(1);
    expect(loudness(new Float32Array(100).fill(0.1))).toBeCloseTo(2 / 3);
  });
});

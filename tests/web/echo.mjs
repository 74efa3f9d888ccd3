// An agent on a loudspeaker, whose echo the caller shall not hear; and who listens to a leg, who shall hear that leg and
// no other. Nothing of Chromium's voice processing is in the way.
//
//   node tests/web/echo.mjs BINARY
//
// On a busy machine Chromium's playout moves all the time: `chrt -r 1 node …` gives the run what it needs.

import assert from "node:assert/strict";
import { Caller } from "./caller.mjs";
import { KEY } from "./server.mjs";
import { dbfs, speech, SPOKEN } from "./speech.mjs";
import { figures, NAMES_OF_ADDRESSES, onStage, pause, said } from "./stage.mjs";

/** The agents: what their legs speak, and for whom the server takes the echo out of them. */
const AGENTS = {
  wet: { codec: "pcmu", echo: "off", number: "801" },
  dry: { codec: "pcmu", echo: "leg", number: "802" },
  opuswet: { codec: "opus", echo: "off", number: "803" },
  opusdry: { codec: "opus", echo: "leg", number: "804" },
  tapped: { codec: "pcmu", echo: "tap", number: "805" },
};
const SUPERVISOR = "boss";
/** A carrier of tones, of which noise suppression would leave nothing. */
const PLAIN = "127.0.0.3";

const settings = `${Object.entries(AGENTS).map(([name, { codec, echo }]) => `
[endpoints.${name}]
password = "secret-${name}"
digest = "both"
codecs = ["${codec}"]
echo = "${echo}"
noise = "off"
gain = "off"
`).join("")}
[trunks.plain]
addresses = ["${PLAIN}"]
echo = "off"
noise = "off"
gain = "off"

[endpoints.${SUPERVISOR}]
password = "secret-${SUPERVISOR}"
digest = "both"
codecs = ["pcmu"]
`;

const plan = `dialplan version=1
${Object.entries(AGENTS).map(([name, { number }]) => `
entry did="${number}" flow="${name}"
flow "${name}" {
  dial "${name}" timeout="20s"
}
`).join("")}
entry did="700" flow="waits"
flow "waits" {
  conference "waits"
}
`;

/** How far down an echo has to be, and how long the canceller has to find it, in dB and s. */
const [DOWN, FOUND] = [25, 2];
/** How long the caller talks, and when then the agent, for how long; in s. */
const [FAR, PAUSE, NEAR] = [13, 1, 4];
/** How far down a tone has to be of whom a listener is not to hear, in dB. */
const APART = 40;

const voices = { far: speech("en-us+m3", FAR), near: speech("en-gb+f2", NEAR) };

/** An agent's page, logged in. */
async function agent({ stage, browser, server }, name) {
  const page = await stage.page(browser, "echo");
  await page.evaluate(([url, name]) => phone.register(url, name), [server.url, name]);
  return page;
}

/** A call from the carrier that an agent has answered. */
async function answered({ server }, page, name, speaker) {
  const caller = await Caller.open(PLAIN, server.sip);
  const invited = caller.invite(AGENTS[name].number);
  await said(page, "incoming");
  await page.evaluate(() => phone.answer());
  assert.equal(await invited, 200);
  await said(page, "confirmed");
  await page.evaluate((speaker) => phone.listen(speaker), speaker);
  return caller;
}

async function over(caller, ...pages) {
  assert.equal(await caller.bye(), 200);
  caller.close();
  for (const page of pages) await page.close();
}

/** What comes back to a caller who talks, and then hears the agent talk; and the half seconds in which playout moved. */
async function returned(world, name, speaker) {
  const page = await agent(world, name);
  const caller = await answered(world, page, name, speaker);
  caller.say([]);
  await pause(1_000);
  const from = caller.heard.length;
  const began = performance.now();
  caller.say(voices.far);
  const moved = [await page.evaluate(() => phone.moved())];
  while (performance.now() - began < 1_000 * FAR) {
    await pause(500 * moved.length - (performance.now() - began));
    moved.push(await page.evaluate(() => phone.moved()));
  }
  await pause(1_000 * PAUSE);
  await page.evaluate((samples) => phone.say(samples), voices.near);
  await pause(1_000 * NEAR);
  const heard = caller.heard.slice(from);
  await over(caller, page);
  const steps = moved.slice(1).map((it, n) => it !== moved[n]);
  return { at: (begin, end) => heard.slice(8_000 * begin, 8_000 * end), steps };
}

const room = (raw, processed, speaker) => async (world) => {
  const off = await returned(world, raw, speaker);
  const on = await returned(world, processed, speaker);
  // Where Chromium's playout makes a step, the echo does: half a second and the next one are its own matter.
  const halves = Array.from({ length: 2 * FAR }, (_, n) => n / 2);
  const steady = (n) => ![off, on].some(({ steps }) => steps[2 * n] || steps[2 * n - 1] || steps[2 * n - 2]);
  const level = (it, list) => dbfs(list.flatMap((n) => it.at(n, n + 0.5)));
  const less = (list) => level(off, list) - level(on, list);
  const counted = halves.filter((n) => n >= FOUND && steady(n));
  const [soon, later] = [counted.filter((n) => n < 2 * FOUND), counted.filter((n) => n >= 2 * FOUND)];
  const after = halves.filter((n) => n >= FOUND && !steady(n));
  const talk = [FAR + PAUSE + 0.5, FAR + PAUSE + NEAR];
  const [with_, without] = [on, off].map((it) => dbfs(it.at(...talk)));
  figures.push(
    `  without: the echo at ${level(off, counted).toFixed(1)} dBFS of ${SPOKEN} spoken; with: ${less(soon).toFixed(1)} dB less from ` +
    `second ${FOUND} to ${2 * FOUND}, ${less(later).toFixed(1)} after; ${after.length} half seconds of steps, ${less(after).toFixed(1)} dB less`,
    `  by half seconds: ${halves.map((n) => less([n]).toFixed(0)).join(" ")}`,
    `  the agent then at ${with_.toFixed(1)} dBFS, ${without.toFixed(1)} without`,
  );
  assert.ok(counted.length >= halves.length / 2, "playout has moved too often to say anything");
  // The control: without processing the echo is there.
  assert.ok(Math.abs(level(off, counted) - (SPOKEN - speaker.down)) < 3, "the room echoes otherwise than it should");
  assert.ok(less(soon) >= DOWN && less(later) >= DOWN, `want ${DOWN} dB less`);
  assert.ok(Math.abs(with_ - without) < 3, "the agent is not as loud as without");
};

/** Asks the API to have `supervisor` listen to `call`. */
async function supervise(server, call, body) {
  const headers = { authorization: `Bearer ${KEY}` };
  const url = `${server.home}/v1/calls/${call}/supervision`;
  const response = await fetch(url, { method: "PUT", headers, body: JSON.stringify(body) });
  assert.equal(response.status, 204, await response.text());
}

/** A listener's call, with nobody in it yet: her page, and what the server calls it. */
async function listener(world) {
  const page = await agent(world, SUPERVISOR);
  const calls = async () => (await world.server.get("/v1/calls")).map((it) => it.call_id);
  const before = await calls();
  await page.evaluate(() => phone.call("700"));
  await said(page, "confirmed");
  await page.evaluate(() => phone.listen());
  const call = (await calls()).find((it) => !before.includes(it));
  return { page, call, party: before.at(-1) };
}

/** The tones of the caller, the agent and the listener. */
const TONES = [440, 1_000, 1_300];

const TAPS = {
  "a listener hears the tapped leg and no other, and is heard by nobody": async (world) => {
    const talker = await agent(world, "wet");
    const caller = await answered(world, talker, "wet");
    await talker.evaluate((hz) => phone.hum(hz), TONES[1]);
    const { page, call, party } = await listener(world);
    await page.evaluate((hz) => phone.hum(hz), TONES[2]);
    const ears = {
      caller: () => TONES.map((hz) => caller.ear(hz, 1).toneRms),
      agent: () => talker.evaluate((tones) => phone.latest(tones).tones, TONES),
      listener: () => page.evaluate((tones) => phone.latest(tones).tones, TONES),
    };
    /** Requires of each that those tones are there, which in a sum may be made quieter, and no other. */
    const hear = async (what, heard) => {
      await pause(2_500);
      for (const [who, wanted] of Object.entries(heard)) {
        const levels = (await ears[who]()).map((rms) => 20 * Math.log10(Math.max(rms, 1e-6) / (0.5 / Math.SQRT2)));
        figures.push(`  ${what}: ${who} hears ${TONES.map((hz, n) => `${hz} Hz at ${levels[n].toFixed(0)} dB`).join(", ")}`);
        levels.forEach((level, n) => {
          const right = wanted.includes(TONES[n]) ? Math.abs(level) < 6 : level < -APART;
          assert.ok(right, `${what}: ${who} hears ${TONES[n]} Hz at ${level.toFixed(1)} dB of what was said`);
        });
      }
    };
    const [hers, his, listeners] = TONES;
    const tap = (of) => supervise(world.server, party, { supervisor: call, mode: "listen", of });
    await tap("caller");
    await hear("of the caller", { caller: [his], agent: [hers], listener: [hers] });
    await tap("callee");
    await hear("of the agent", { caller: [his], agent: [hers], listener: [his] });
    // The controls: what is not heard there would be.
    await supervise(world.server, party, { supervisor: call, mode: "listen" });
    await hear("of both", { caller: [his], agent: [hers], listener: [hers, his] });
    await supervise(world.server, party, { supervisor: call, mode: "barge" });
    await hear("barging in", { caller: [his, listeners], agent: [hers, listeners], listener: [hers, his] });
    await page.evaluate(() => phone.hangUp());
    await over(caller, talker, page);
  },

  "a listener to a leg on a loudspeaker hears no echo of the other, who does": async (world) => {
    const levels = {};
    for (const name of ["wet", "tapped"]) {
      const talker = await agent(world, name);
      const caller = await answered(world, talker, name, { ms: 120, down: 8 });
      caller.say([]);
      const { page, call, party } = await listener(world);
      await supervise(world.server, party, { supervisor: call, mode: "listen", of: "callee" });
      await pause(1_000);
      caller.say(voices.far);
      await pause(1_000 * (FAR - 1));
      const { rms } = await page.evaluate((seconds) => phone.latest([], seconds), FAR - 1 - 2 * FOUND);
      const back = dbfs(caller.heard.slice(-8_000 * (FAR - 1 - 2 * FOUND)));
      levels[name] = { there: 20 * Math.log10(Math.max(rms, 1e-5)), back };
      await page.evaluate(() => phone.hangUp());
      await over(caller, talker, page);
    }
    const { wet, tapped } = levels;
    figures.push(
      `  the echo at the listener: ${wet.there.toFixed(1)} dBFS without, ${tapped.there.toFixed(1)} with; ` +
      `at the caller: ${wet.back.toFixed(1)} and ${tapped.back.toFixed(1)}`,
    );
    assert.ok(Math.abs(wet.back - tapped.back) < 3, "the caller hears otherwise than without");
    assert.ok(wet.there - tapped.there >= DOWN, `want ${DOWN} dB less`);
  },
};

const ECHOES = {
  "G.711, 40 ms and 10 dB: the echo goes, the agent is heard": room("wet", "dry", { ms: 40, down: 10 }),
  "Opus, 120 ms and 8 dB: the echo goes, the agent is heard": room("opuswet", "opusdry", { ms: 120, down: 8 }),
  "G.711, 200 ms and 6 dB: the echo goes, the agent is heard": room("wet", "dry", { ms: 200, down: 6 }),
};

await onStage("echo", "web-echo", async (stage) => {
  await stage.site("echo");
  const server = await stage.server({ plan, settings });
  const world = { stage, server, browser: await stage.browser(NAMES_OF_ADDRESSES) };
  await stage.steps(world, TAPS, { title: "taps", all: true });
  await stage.steps(world, ECHOES, { title: "echo", all: true });
});

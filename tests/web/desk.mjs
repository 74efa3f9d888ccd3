// The agent's desk of the server that was just built, with carriers' callers: who rings, who hears whom, and what
// each button does to the sound at the far end.
//
//   node tests/web/desk.mjs BINARY [WORD…]         only the tests whose names have one of the words
//
// The binary must have the desk in it (make desk, then cargo build). Everything is on loopback.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Caller } from "./caller.mjs";
import { CARRIER, start, until } from "./server.mjs";
import { tone } from "./sound.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [binary = "target/debug/tandem", ...words] = process.argv.slice(2);
const folder = path.resolve("target/tmp/e2e-desk-real");
const ANNA = 1_000;
const BEN = 2_000;

/** One agent at his desk, in a browser's context of his own. */
class Agent {
  static async open(world, name, hz) {
    const agent = new Agent();
    agent.context = await world.browser.newContext({ bypassCSP: true, locale: "en-GB" });
    await agent.context.addInitScript(`globalThis.tone = ${hz};`);
    await agent.context.addInitScript({ path: path.join(folder, "desk-page.bundle.js") });
    agent.page = await agent.context.newPage();
    agent.page.setDefaultTimeout(8_000);
    agent.page.on("pageerror", (error) => log(`${name}: ${error}`));
    agent.page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => log(`${name} < ${String(payload).slice(0, 300)}`));
      socket.on("framesent", ({ payload }) => log(`${name} > ${String(payload).slice(0, 300)}`));
    });
    await agent.page.goto(`${world.server.home}/desk/`);
    await agent.page.getByLabel("Name").fill(name);
    await agent.page.getByLabel("Password").fill(`secret-${name}`);
    await agent.press("Log in");
    await agent.see("status", "Available");
    return agent;
  }

  press(name, within = this.page) {
    return within.getByRole("button", { name, exact: true }).click();
  }

  part(name, text) {
    return this.page.locator(`[data-test="${name}"]`, text ? { hasText: text } : {}).first();
  }

  async see(name, text) {
    await this.part(name, text).waitFor();
  }

  async answer() {
    await this.see("ring");
    await this.press("Answer");
    await this.see("call", "Talking");
  }

  /** When a button was pressed, by the wall clock. */
  async pressAt(name) {
    const button = this.page.getByRole("button", { name, exact: true });
    return button.evaluate((it) => {
      const at = performance.timeOrigin + performance.now();
      it.click();
      return at;
    });
  }

  /** Hears that tone, among others or alone. */
  async hears(hz) {
    await this.page.evaluate((hz) => test.listen(hz), hz);
    await until(`${hz} Hz at the desk`, 8_000, () =>
      this.page.evaluate(() => {
        const { share, rms, parts } = test.ear.latest(0.5);
        return parts >= 25 && rms * Math.sqrt(Math.max(share, 0)) > 0.2;
      }));
  }

  /** Writes its last call up and is available again. */
  async rest() {
    await this.part("call").waitFor({ state: "detached" });
    while ((await this.part("wrap-up").count()) > 0) await this.press("Done", this.part("wrap-up"));
    await this.press("Available");
    await this.see("status", "Available");
  }
}

/** A caller who has gone through the menu and talks to Anna. */
async function talk({ server, anna }) {
  const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
  assert.equal(await caller.invite("700"), 200);
  await pause(300);
  caller.press("1");
  await anna.answer();
  await callerHears(caller, ANNA);
  return caller;
}

/** Half a second of that tone, from now on. */
async function callerHears(caller, hz) {
  let mark = caller.heard.length;
  await until(`${hz} Hz at the caller`, 8_000, () => {
    if (caller.heard.length - mark < 4_000) return false;
    const came = caller.heard.slice(mark);
    mark = caller.heard.length;
    return tone(came, 8_000, hz).toneRms > 0.2;
  });
}

/** Within 400 ms nothing of that tone comes, or nothing at all: a browser that is mute may leave out packets. */
const callerHearsNo = (caller, hz) =>
  until(`no ${hz} Hz at the caller`, 6_000, async () => {
    const mark = caller.heard.length;
    await pause(400);
    const came = caller.heard.slice(mark);
    return came.length < 160 || tone(came, 8_000, hz).toneRms < 0.01;
  });

/** The longest time without that tone within so many ms, by the clock. */
async function longestWithout(caller, hz, ms) {
  const began = performance.now();
  let [mark, latest, longest] = [caller.heard.length, began, 0];
  while (performance.now() - began < ms) {
    await pause(40);
    const came = caller.heard.slice(mark);
    mark = caller.heard.length;
    const now = performance.now();
    if (came.length >= 160 && tone(came, 8_000, hz).toneRms > 0.1) latest = now;
    longest = Math.max(longest, now - latest);
  }
  return longest;
}

/** Anna asks Ben, and he answers. */
async function consult({ anna, ben }) {
  await anna.press("Transfer");
  await anna.page.getByLabel("Transfer to").fill("ben");
  await anna.press("Consult first");
  await ben.answer();
  await ben.hears(ANNA);
}

const STEPS = {
  "AD-05, AD-06: rings with its context, picked up by the button; 440 Hz one way, 1 kHz the other": async (world) => {
    const { server, anna } = world;
    const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
    assert.equal(await caller.invite("700"), 200);
    await pause(300);
    caller.press("1");
    await anna.see("ring", "+441234567");
    await anna.see("ring", "sales");
    await anna.answer();
    await callerHears(caller, ANNA);
    await anna.hears(440);
    const from = Math.floor(caller.heard.length / 160);
    const seen = await anna.page.evaluate(() => test.ear.parts.length);
    await pause(1_500);
    const ear = caller.ear(ANNA, 1.5);
    const there = await anna.page.evaluate((from) => {
      test.ear.parts.splice(0, from);
      return test.ear.latest(1.5);
    }, seen);
    const gap = caller.gap(ANNA, from);
    figures.push(
      `  at the caller: 1 kHz share ${ear.share.toFixed(3)}, rms ${ear.rms.toFixed(3)}, gap ${gap} ms; ` +
      `at the desk: 440 Hz share ${there.share.toFixed(3)}, rms ${there.rms.toFixed(3)}, gap ${there.gap} ms`,
    );
    for (const it of [ear, there]) assert.ok(it.share > 0.9 && it.rms > 0.25 && it.rms < 0.45, JSON.stringify(it));
    assert.ok(gap <= 60 && there.gap <= 60, `gaps of ${gap} and ${there.gap} ms`);
    const asked = await anna.pressAt("Hang up");
    await caller.hungUp();
    within(200, caller.endedAt() - asked, "from the desk's button to the caller's BYE");
    caller.close();
    await anna.rest();
  },

  "AD-06: the caller hangs up": async (world) => {
    const caller = await talk(world);
    const over = world.anna.page.evaluate(() => new Promise((resolve) => {
      new MutationObserver((_, it) => {
        if (document.querySelector('[data-test="call"]')) return;
        it.disconnect();
        resolve(performance.timeOrigin + performance.now());
      }).observe(document.body, { childList: true, subtree: true });
    }));
    const asked = caller.wall();
    assert.equal(await caller.bye(), 200);
    within(200, (await over) - asked, "from the caller's BYE to the desk's sight");
    caller.close();
    await world.anna.rest();
  },

  "AD-06: mute, and hold with resume": async (world) => {
    const caller = await talk(world);
    for (const [does, undoes] of [["Mute", "Unmute"], ["Hold", "Resume"]]) {
      await world.anna.press(does);
      await callerHearsNo(caller, ANNA);
      await world.anna.press(undoes);
      await callerHears(caller, ANNA);
      await world.anna.hears(440);
    }
    await end(world, caller);
  },

  "AD-06: keys reach the caller": async (world) => {
    const caller = await talk(world);
    await world.anna.press("Keypad");
    for (const key of "5#") await world.anna.press(`Key ${key}`);
    await until("5# at the caller", 5_000, () => caller.keys === "5#");
    await end(world, caller);
  },

  "AD-06: blind transfer: the caller hears whom he is handed to, the desk is free": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await anna.press("Transfer");
    await anna.page.getByLabel("Transfer to").fill("ben");
    await anna.press("Transfer now");
    await ben.answer();
    await callerHears(caller, BEN);
    await ben.hears(440);
    await anna.rest();
    assert.equal(await caller.bye(), 200);
    caller.close();
    await ben.rest();
  },

  "AD-06: attended transfer: consults, swaps, completes": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await consult(world);
    await callerHearsNo(caller, ANNA);
    await anna.press("Swap");
    await callerHears(caller, ANNA);
    await anna.press("Swap");
    await callerHearsNo(caller, ANNA);
    await anna.press("Complete transfer");
    await callerHears(caller, BEN);
    await ben.hears(440);
    await anna.rest();
    await ben.press("Hang up");
    await caller.hungUp();
    caller.close();
    await ben.rest();
  },

  "AD-06: merge to three: each hears both others": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await consult(world);
    await anna.press("Merge");
    for (const hz of [ANNA, BEN]) await callerHears(caller, hz);
    for (const hz of [440, ANNA]) await ben.hears(hz);
    assert.equal(await caller.bye(), 200);
    caller.close();
    const cards = anna.page.locator('[data-test="call"]');
    await until("the caller's end at the desk", 5_000, async () => (await cards.count()) === 1);
    await anna.press("Hang up");
    for (const agent of [anna, ben]) await agent.rest();
  },

  "AD-06: records, pauses, resumes, stops": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.press("Record");
    await anna.see("call", "Recording");
    await pause(1_000);
    await anna.press("Pause recording");
    await anna.see("call", "Recording paused");
    await pause(1_000);
    await anna.press("Resume recording");
    await pause(1_000);
    await anna.press("Stop recording");
    await anna.part("call").getByRole("button", { name: "Record", exact: true }).waitFor();
    await end(world, caller);
  },

  "AD-02: asked for in a call, a break comes after it": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.press("Break");
    await anna.see("status", "then: Break");
    assert.equal(await caller.bye(), 200);
    caller.close();
    await anna.see("wrap-up");
    await anna.press("Done", anna.part("wrap-up"));
    await anna.see("status", "Break");
    await anna.rest();
  },

  "AD-07: one who waits is taken out of turn": async (world) => {
    const { server, anna, ben } = world;
    for (const agent of [anna, ben]) await agent.press("Away");
    for (const agent of [anna, ben]) await agent.see("status", "Away");
    const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
    assert.equal(await caller.invite("700"), 200);
    await pause(300);
    caller.press("1");
    await anna.see("queues", "+441234567");
    await anna.press("Take +441234567");
    await anna.answer();
    await callerHears(caller, ANNA);
    await end(world, caller);
    await ben.rest();
  },

  "AD-16: a reload in the call: sound both ways within 2 s, the caller never dropped": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    const watched = longestWithout(caller, ANNA, 5_000);
    await anna.page.reload({ waitUntil: "commit" });
    within(2_000, await watched, "without sound at the caller");
    await anna.hears(440);
    await anna.see("call", "Talking");
    assert.equal(caller.ended, null);
    await end(world, caller);
  },

  "AD-16: another network: new names for ICE, and sound goes on": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.context.setOffline(true);
    await anna.context.setOffline(false);
    await callerHears(caller, ANNA);
    await anna.hears(440);
    await anna.see("call", "Talking");
    await end(world, caller);
  },

  "AD-17: a badge, and a warning when nothing of the agent reaches the server": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.see("quality", "Quality");
    const began = performance.now();
    const stop = () => {
      const [sender] = test.connections.at(-1).getSenders();
      globalThis.kept = sender.track;
      return sender.replaceTrack(null);
    };
    await anna.page.evaluate(stop);
    await anna.see("unheard");
    within(2_500, performance.now() - began, "from the last packet to the warning, of which two seconds are the server's patience");
    await anna.page.evaluate(() => test.connections.at(-1).getSenders()[0].replaceTrack(globalThis.kept));
    await anna.part("unheard").waitFor({ state: "detached" });
    await end(world, caller);
  },

  "AD-10: note and outcome are kept with the call": async (world) => {
    const { server, anna } = world;
    const caller = await talk(world);
    await anna.page.getByLabel("Note").fill("wants a ship");
    await anna.page.getByLabel("sold").check();
    await end(world, caller);
    await until("the record", 5_000, async () => JSON.stringify(await server.get("/v1/cdrs")).includes("wants a ship"));
  },
};

async function end({ anna }, caller) {
  assert.equal(caller.ended, null, "the caller was dropped");
  assert.equal(await caller.bye(), 200);
  caller.close();
  await anna.rest();
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(limit, ms, what) {
  figures.push(`  ${ms.toFixed(0)} ms ${what}`);
  assert.ok(ms <= limit, `${ms.toFixed(0)} ms ${what}; want at most ${limit}`);
}

const figures = [];
let log = () => {};

/** The agent's password as the configuration keeps it. */
function hashed(password) {
  const made = spawnSync(path.resolve(binary), ["hash-password"], { input: `${password}\n`, encoding: "utf8" });
  const hash = /\$argon2id\$\S+/.exec(made.stdout)?.[0];
  return hash ? `password_hash = "${hash}"` : "";
}

const settings = () => `
[desk]
break_reasons = ["lunch"]
dispositions = ["sold", "later"]
[endpoints.ben]
password = "secret-ben"
[agents.anna]
${hashed("secret-anna")}
[agents.ben]
${hashed("secret-ben")}
`;

const PLAN = `dialplan version=1

entry did="600" flow="tone"
entry did="700" flow="menu"
entry pattern="*" flow="agent"

queue "sales" ring-timeout="20s" wrap-up="30s" max-wait="5m" {
  agents "anna"
}

menu "menu" {
  gather timeout="10s"
  on "1" {
    queue "sales"
    hangup
  }
  on timeout max=2 {
    hangup
  }
}

flow "agent" {
  dial "ben" timeout="20s"
}

flow "tone" {
  answer
  play "tone.wav"
  hangup
}
`;

async function main() {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const file = fs.createWriteStream(path.join(folder, "pages.log"));
  log = (line) => file.write(`${new Date().toISOString()} ${line}\n`);
  await build({
    entryPoints: [path.join(HERE, "desk-page.js")],
    outdir: folder,
    outExtension: { ".js": ".bundle.js" },
    bundle: true,
    format: "iife",
    logLevel: "warning",
  });
  const server = await start(path.resolve(binary), folder, "", { plan: PLAN, settings: settings() });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"],
  });
  let [passed, failed] = [0, 0];
  try {
    const anna = await Agent.open({ browser, server }, "anna", ANNA);
    const ben = await Agent.open({ browser, server }, "ben", BEN);
    for (const [name, step] of Object.entries(STEPS)) {
      if (words.length > 0 && !words.some((it) => name.includes(it))) continue;
      const began = performance.now();
      figures.length = 0;
      log(`== ${name}`);
      let word = "ok";
      try {
        await step({ server, anna, ben });
        passed += 1;
      } catch (error) {
        word = `FAILED: ${error.message.split("\n").slice(0, 6).join("\n    ")}`;
        failed += 1;
        await anna.page.screenshot({ path: path.join(folder, `failed-${failed}.png`) }).catch(() => {});
      }
      const seconds = ((performance.now() - began) / 1_000).toFixed(1);
      console.log([`desk with the server: ${name} ... ${word} (${seconds} s)`, ...figures].join("\n"));
      if (word !== "ok") break;
    }
  } finally {
    await browser.close();
    await server.stop();
  }
  const load = os.loadavg().map((it) => it.toFixed(1)).join(" ");
  console.log(`the desk with the server: ${passed} passed, ${failed} failed; load average ${load}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();

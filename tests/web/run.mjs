// Unmodified JsSIP, SIP.js and @telnyx/webrtc in a headless Chromium against the server that was just built: registration,
// calls both ways, sound both ways, and every end.
//
//   node tests/web/run.mjs BINARY [CLIENT…]        WEB_SIGNALLING=1: without sound
//
// Everything is on loopback; what a run leaves is below target/tmp/e2e-web.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Caller } from "./caller.mjs";
import { BERTA, CARRIER, site, start, until } from "./server.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CLIENTS = ["jssip", "sipjs", "telnyx"];
const SIGNALLING = Boolean(process.env.WEB_SIGNALLING);
const [binary = "target/debug/tandem", ...wanted] = process.argv.slice(2);
const folder = path.resolve("target/tmp/e2e-web");

/** What each client is put through, in this order; each begins and ends registered and without a call. */
const STEPS = {
  "registers by digest and is where its socket is": async ({ server }) => {
    const [contact] = await server.contacts("anna");
    assert.match(JSON.stringify(contact), /\.invalid/);
  },

  "declines a call, and the caller is told": async ({ server, page }) => {
    const caller = await Caller.open(CARRIER, server.sip);
    const invited = caller.invite("700");
    await said(page, "incoming");
    await page.evaluate(() => phone.reject(486));
    assert.ok((await invited) >= 400);
    caller.close();
  },

  "an unknown password is refused": async ({ server, context, client, url }) => {
    const stranger = await open(context, client, url);
    const refused = stranger.evaluate((to) => phone.register(to, "anna", "guess"), server.url);
    await assert.rejects(refused);
    await stranger.close();
  },

  "registers by the token of an agent's login, and is put out when he logs out": async ({ server, context, client, url }) => {
    if (client === "sipjs") return "left out: it has no word for tokens";
    const token = await server.logIn("berta", BERTA);
    const page = await open(context, client, url);
    const by = (page) => page.evaluate(
      ([url, token]) => phone.register(url, "berta", undefined, token), [server.url, token]);
    await by(page);
    assert.equal((await server.contacts("berta")).length, 1);
    const asked = performance.now();
    await server.logOut(token);
    await said(page, "disconnected");
    within(5_000, performance.now() - asked, "from the log-out to the page's loss of its socket");
    assert.deepEqual(await server.contacts("berta"), []);
    await page.close();
    const again = await open(context, client, url);
    await assert.rejects(by(again));
    await again.close();
  },

  "loses its socket and is registered again by another": async ({ server, page }) => {
    const [before] = await server.contacts("anna");
    await page.evaluate(() => { phone.events.length = 0; phone.cut(); });
    await said(page, "registered");
    const [after, ...more] = await server.contacts("anna");
    assert.equal(more.length, 0);
    assert.notDeepEqual(after, before);
  },
};

const SOUND = {
  "answers; 440 Hz one way, 1 kHz the other; hangs up": async (world) => {
    const caller = await talk(world);
    await hear(world, caller);
    const [asked] = await Promise.all([world.page.evaluate(hangUp), caller.hungUp()]);
    within(200, caller.endedAt() - asked, "from the page's button to the caller's BYE");
    caller.close();
  },

  "answers; the caller hangs up": async (world) => {
    const caller = await talk(world);
    await hear(world, caller);
    const asked = caller.wall();
    assert.equal(await caller.bye(), 200);
    await until("the page's end", 3_000, () => world.page.evaluate(() => phone.over));
    const over = await world.page.evaluate(() => phone.over);
    within(200, over - asked, "from the caller's BYE to the page's end");
    caller.close();
  },

  "mutes, holds, resumes: the caller hears the page when he should": async (world) => {
    const caller = await talk(world);
    await hear(world, caller);
    for (const [does, undoes] of [
      [() => phone.mute(true), () => phone.mute(false)],
      [() => phone.hold(true), () => phone.hold(false)],
    ]) {
      await world.page.evaluate(does);
      await until("silence at the caller", 3_000, () => caller.ear(1_000, 0.5).toneRms < 0.01);
      await world.page.evaluate(undoes);
      await hear(world, caller);
    }
    assert.equal(await caller.bye(), 200);
    caller.close();
  },

  "presses a key for a menu": async ({ page }) => {
    await page.evaluate(() => { phone.events.length = 0; phone.over = 0; phone.call("601", 1_000); });
    await said(page, "confirmed");
    await page.evaluate(() => phone.listen(440));
    await pause(500);
    await page.evaluate(() => phone.press("5"));
    await heard(page, 440);
    await page.evaluate(hangUp);
  },

  "the socket is lost in a call: sound goes on, and the end finds the new one": async (world) => {
    const caller = await talk(world);
    await world.page.evaluate(() => { phone.events.length = 0; phone.cut(); });
    await said(world.page, "registered");
    if (await world.page.evaluate(() => phone.takesUp)) await said(world.page, "confirmed");
    await hear(world, caller);
    assert.equal(await caller.bye(), 200);
    await until("the page's end", 3_000, () => world.page.evaluate(() => phone.over));
    caller.close();
  },

  "calls a number and hears what is played there": async ({ page }) => {
    await page.evaluate(() => { phone.events.length = 0; phone.over = 0; phone.call("600", 1_000); });
    await said(page, "confirmed");
    await page.evaluate(() => phone.listen(440));
    await heard(page, 440);
    await page.evaluate(hangUp);
  },
};

/** What one client can do and the others cannot. */
const OWN = {
  telnyx: {
    "is reloaded in a call: sound is back within 2 s, and the caller was never let go": async (world) => {
      const caller = await talk(world);
      await hear(world, caller);
      const from = Math.floor(caller.heard.length / 160);
      await world.page.reload();
      await world.page.waitForFunction(() => globalThis.phone);
      await world.page.evaluate((to) => phone.register(to, "anna", "secret-anna"), world.server.url);
      await said(world.page, "confirmed");
      await world.page.evaluate(() => phone.listen(440));
      await until("1 kHz at the caller", 8_000, () => caller.ear(1_000, 0.2).share > 0.9);
      await hear(world, caller);
      within(2_000, caller.silence(1_000, from), "without the page's tone at the caller");
      assert.equal(caller.ended, null);
      assert.equal(await caller.bye(), 200);
      await until("the page's end", 3_000, () => world.page.evaluate(() => phone.over));
      caller.close();
    },
  },
};

/** The page's clock when it was asked. */
const hangUp = () => {
  const at = performance.timeOrigin + performance.now();
  phone.hangUp();
  return at;
};

/** A call from the carrier that the page has answered. */
async function talk({ server, page }) {
  await page.evaluate(() => { phone.events.length = 0; phone.over = 0; });
  const caller = await Caller.open(CARRIER, server.sip, 440);
  const invited = caller.invite("700");
  await said(page, "incoming");
  await page.evaluate(() => phone.answer(1_000));
  assert.equal(await invited, 200);
  await said(page, "confirmed");
  await page.evaluate(() => phone.listen(440));
  return caller;
}

/** Both hear the other's tone for a second and a half: its pitch, its level, and no hole of over 60 ms. */
async function hear({ page }, caller) {
  await until("1 kHz at the caller", 5_000, () => caller.ear(1_000, 0.5).share > 0.9);
  await heard(page);
  const from = Math.floor(caller.heard.length / 160);
  const seen = await page.evaluate(() => phone.ear.parts.length);
  await pause(1_500);
  const ear = caller.ear(1_000, 1.5);
  const gap = caller.gap(1_000, from);
  const there = await page.evaluate((from) => {
    phone.ear.parts.splice(0, from);
    return phone.ear.latest(1.5);
  }, seen);
  figures.push(
    `  at the caller: 1 kHz share ${ear.share.toFixed(3)}, rms ${ear.rms.toFixed(3)}, gap ${gap} ms; ` +
    `at the page: 440 Hz share ${there.share.toFixed(3)}, rms ${there.rms.toFixed(3)}, gap ${there.gap} ms`,
  );
  for (const [share, rms] of [[ear.share, ear.rms], [there.share, there.rms]]) {
    assert.ok(share > 0.9, `share ${share}`);
    assert.ok(rms > 0.25 && rms < 0.45, `rms ${rms}`);
  }
  assert.ok(gap <= 60 && there.gap <= 60, `gaps of ${gap} and ${there.gap} ms`);
}

const heard = (page) => until("the tone at the page", 5_000, () =>
  page.evaluate(() => phone.ear.latest(0.5).share > 0.9 && phone.ear.latest(0.5).parts >= 25));

const said = (page, event) => until(`"${event}" at the page`, 15_000, () =>
  page.evaluate((event) => phone.events.includes(event), event));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(limit, ms, what) {
  figures.push(`  ${ms.toFixed(0)} ms ${what}`);
  assert.ok(ms <= limit, `${ms.toFixed(0)} ms ${what}; want at most ${limit}`);
}

async function open(context, client, url) {
  const page = await context.newPage();
  page.on("pageerror", (error) => log(`${client}: ${error}`));
  page.on("console", (message) => log(`${client}: ${message.text()}`));
  await page.goto(`${url}/${client}.html`);
  await page.waitForFunction(() => globalThis.phone);
  return page;
}

const figures = [];
let log = () => {};

async function main() {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const file = fs.createWriteStream(path.join(folder, "pages.log"));
  log = (line) => file.write(`${line}\n`);
  const clients = wanted.length > 0 ? wanted : CLIENTS;
  for (const client of clients) {
    fs.copyFileSync(path.join(HERE, `${client}.html`), path.join(folder, `${client}.html`));
  }
  await build({
    entryPoints: clients.map((client) => path.join(HERE, `${client}.js`)),
    outdir: folder,
    outExtension: { ".js": ".bundle.js" },
    bundle: true,
    format: "esm",
    logLevel: "warning",
  });
  const { server: pages, url } = await site(folder);
  const server = await start(path.resolve(binary), folder, url);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--allow-loopback-in-peer-connection",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  let failed = 0;
  try {
    for (const client of clients) failed += await put(client, { server, browser, url });
  } finally {
    await browser.close();
    pages.close();
    await server.stop();
  }
  console.log(`${failed} failed; load average ${os.loadavg().map((it) => it.toFixed(1)).join(" ")}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

/** One client through all steps; how many of them failed. */
async function put(client, { server, browser, url }) {
  const context = await browser.newContext();
  const page = await open(context, client, url);
  await page.evaluate((to) => phone.register(to, "anna", "secret-anna"), server.url);
  const world = { server, context, page, client, url };
  let failed = 0;
  for (const [name, step] of Object.entries(SIGNALLING ? STEPS : { ...STEPS, ...SOUND, ...OWN[client] })) {
    const began = performance.now();
    figures.length = 0;
    let [word, fails] = ["ok", false];
    try {
      word = (await step(world)) ?? word;
    } catch (error) {
      word = `FAILED: ${error.message}`;
      fails = true;
      failed += 1;
    }
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    console.log([`${client}: ${name} ... ${word} (${seconds} s)`, ...figures].join("\n"));
    if (fails) break;
  }
  await page.evaluate(() => phone.unregister()).catch(() => {});
  await context.close();
  return failed;
}

await main();

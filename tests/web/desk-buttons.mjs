// Every button of the agent's desk in a headless Chromium, against a server that says what the test wants: what a
// press asks of the server, what is shown of its answers, and by sound what the far end of a call hears.
//
//   node tests/web/desk-buttons.mjs [WORD…]        only the tests whose names have one of the words
//
// The desk must have been built (make desk). Everything is on loopback.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Mock } from "./desk-mock.mjs";
import { SOUND } from "./desk-sound.mjs";
import { STEPS } from "./desk-steps.mjs";
import { World } from "./desk-world.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve("target/tmp/e2e-desk");
const words = process.argv.slice(2);

async function main() {
  const pages = path.resolve("web/dist/desk");
  if (!fs.existsSync(path.join(pages, "index.html"))) throw new Error("there is no desk: run make desk first");
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(path.join(HERE, "far.html"), path.join(folder, "far.html"));
  const bundle = { bundle: true, logLevel: "warning", outdir: folder, outExtension: { ".js": ".bundle.js" } };
  await build({ ...bundle, entryPoints: [path.join(HERE, "far.js")], format: "esm" });
  await build({ ...bundle, entryPoints: [path.join(HERE, "desk-page.js")], format: "iife" });
  const mock = await Mock.open(pages, folder);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--allow-loopback-in-peer-connection",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-features=WebRtcHideLocalIpsWithMdns",
    ],
  });
  let [passed, failed] = [0, 0];
  try {
    const far = await (await browser.newContext()).newPage();
    await far.goto(`${mock.url}/far.html`);
    await far.waitForFunction(() => globalThis.far);
    const page = path.join(folder, "desk-page.bundle.js");
    const wanted = ([name]) => words.length === 0 || words.some((it) => name.includes(it));
    // An ear needs what the desk's policy forbids, so only where one listens the browser is told to overlook it.
    const all = [[STEPS, false], [SOUND, true]].flatMap(([steps, bypassCSP]) =>
      Object.entries(steps).map(([name, step]) => [name, step, bypassCSP]));
    for (const [name, step, bypassCSP] of all.filter(wanted)) {
      const world = new World({ mock, browser, far, page, folder });
      (await world.try(name, step, bypassCSP)) ? (passed += 1) : (failed += 1);
    }
  } finally {
    await browser.close();
    mock.close();
  }
  const load = os.loadavg().map((it) => it.toFixed(1)).join(" ");
  console.log(`the desk's buttons: ${passed} passed, ${failed} failed; load average ${load}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();

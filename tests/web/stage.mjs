// One run in a browser: its folder, its pages, the server, Chromium, the steps one after the other with what each
// measured, and an end that leaves nothing behind.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { closeLines } from "./line.mjs";
import { site, start, until } from "./server.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [server = "target/debug/tandem", ...rest] = process.argv.slice(2);

/** The server under test, and what else was said behind it. */
export const binary = path.resolve(server);
export const words = rest;

/** What the step that runs has measured, a line each. */
export const figures = [];

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Tells how long it took, and fails if that was too long. */
export function within(limit, ms, what) {
  figures.push(`  ${ms.toFixed(0)} ms ${what}`);
  assert.ok(ms <= limit, `${ms.toFixed(0)} ms ${what}; want at most ${limit}`);
}

/** Runs `act` on a stage of its own, closes what was opened there, and says how it went. */
export async function onStage(title, folder, act) {
  const stage = new Stage(folder);
  try {
    await act(stage);
  } finally {
    await stage.close();
  }
  const load = os.loadavg().map((it) => it.toFixed(1)).join(" ");
  const out = stage.leftOut > 0 ? `, ${stage.leftOut} left out` : "";
  console.log(`${title}: ${stage.passed} passed${out}, ${stage.failed} failed; load average ${load}`);
  process.exitCode = stage.failed > 0 ? 1 : 0;
}

class Stage {
  passed = 0;
  failed = 0;
  leftOut = 0;
  #closers = [];

  constructor(name) {
    this.folder = path.resolve("target/tmp", name);
    fs.rmSync(this.folder, { recursive: true, force: true });
    fs.mkdirSync(this.folder, { recursive: true });
    const file = fs.createWriteStream(path.join(this.folder, "pages.log"));
    this.log = (line) => file.write(`${new Date().toISOString()} ${line}\n`);
  }

  /** Has it called at the end, the latest first. */
  closes(close) {
    this.#closers.push(close);
  }

  async close() {
    closeLines();
    const errors = [];
    for (const close of this.#closers.reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Bundles scripts of this folder, each with its page if it has one. */
  async bundle(names, format = "esm") {
    for (const name of names) {
      const page = path.join(HERE, `${name}.html`);
      if (fs.existsSync(page)) fs.copyFileSync(page, path.join(this.folder, `${name}.html`));
    }
    await build({
      entryPoints: names.map((name) => path.join(HERE, `${name}.js`)),
      outdir: this.folder,
      outExtension: { ".js": ".bundle.js" },
      bundle: true,
      format,
      logLevel: "warning",
    });
  }

  /** Those pages on a site of their own; its URL. */
  async site(...names) {
    await this.bundle(names);
    const { server, url } = await site(this.folder);
    this.closes(() => server.close());
    this.url = url;
    return url;
  }

  /** The server, which pages of the site may reach. */
  async server(options) {
    const server = await start(binary, this.folder, this.url ?? "", options);
    this.closes(() => server.stop());
    return server;
  }

  /** Chromium, without those of its features. */
  async browser(...without) {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
        ...(without.length > 0 ? [`--disable-features=${without}`] : []),
      ],
    });
    this.closes(() => browser.close());
    return browser;
  }

  /** A page of the site once its script has made `name`; `place` is a context or a browser. */
  async page(place, page, { name = "phone", ...options } = {}) {
    const opened = await place.newPage(options);
    opened.on("pageerror", (error) => this.log(`${page}: ${error}`));
    opened.on("console", (message) => this.log(`${page}: ${message.text()}`));
    await opened.goto(`${this.url}/${page}.html`);
    await opened.waitForFunction((name) => globalThis[name], name);
    return opened;
  }

  /** What a page looked like when a step failed. */
  async picture(page, step) {
    const file = path.join(this.folder, `${step.replace(/[^a-z0-9]+/gi, "-").slice(0, 60)}.png`);
    await page.screenshot({ path: file }).catch(() => {});
  }

  /**
   * Puts `world` through the steps, and tells of each. Without `all` it ends with the first that fails, since the next
   * ones begin where it should have ended.
   */
  async steps(world, steps, { title, all = false, failed = () => {} }) {
    for (const [name, step] of Object.entries(steps)) {
      const began = performance.now();
      figures.length = 0;
      this.log(`== ${title}: ${name}`);
      let [word, fails] = ["ok", false];
      try {
        word = (await step(world)) ?? word;
      } catch (error) {
        [word, fails] = [`FAILED: ${told(error)}`, true];
        await failed(name);
        closeLines();
      }
      this[fails ? "failed" : word.startsWith("left out") ? "leftOut" : "passed"] += 1;
      const seconds = ((performance.now() - began) / 1_000).toFixed(1);
      console.log([`${title}: ${name} ... ${word} (${seconds} s)`, ...figures].join("\n"));
      if (fails && !all) return;
    }
  }
}

/** The first lines of an error: a page's own can be long. */
const told = ({ message }) => message.split("\n").slice(0, 12).join("\n    ");

/** Names in the place of addresses need a multicast that a namespace of its own has not. */
export const NAMES_OF_ADDRESSES = "WebRtcHideLocalIpsWithMdns";

/** Until a page's phone has told of that event. */
export const said = (page, event) => until(`"${event}" at the page`, 20_000, () =>
  page.evaluate((event) => phone.events.includes(event), event));

/** Until a page has heard half a second of the tone that it listens for. */
export const heard = (page, limit = 5_000) => until("the tone at the page", limit, () =>
  page.evaluate(() => ear.latest(0.5).share > 0.9 && ear.latest(0.5).parts >= 25));

/** Until a page and a line have each heard half a second of the other. */
export async function both(page, line, { hz = 1_000, limit = 5_000 } = {}) {
  await line.hears(hz, limit);
  await heard(page, limit);
}

/** Both hear the other's tone for a second and a half: its pitch, its level, and no hole of over 60 ms. */
export async function hear(page, line, { hz = 1_000, limit = 5_000 } = {}) {
  await both(page, line, { hz, limit });
  const mark = line.heard.length;
  const seen = await page.evaluate(() => ear.parts.length);
  await pause(1_500);
  const here = line.since(mark, hz);
  const there = await page.evaluate((from) => {
    ear.parts.splice(0, from);
    return { ...ear.latest(1.5), hz: ear.hz };
  }, seen);
  const told = (hz, { share, rms, gap }) => `${hz} Hz share ${share.toFixed(3)}, rms ${rms.toFixed(3)}, gap ${gap} ms`;
  figures.push(`  at the ${line.name}: ${told(hz, here)}; at the page: ${told(there.hz, there)}`);
  assert.ok(here.samples > 10_000, `${here.samples} samples at the ${line.name} in 1.5 s`);
  for (const { share, rms, gap } of [here, there]) {
    assert.ok(share > 0.9, `share ${share}`);
    assert.ok(rms > 0.25 && rms < 0.45, `rms ${rms}`);
    assert.ok(gap <= 60, `a gap of ${gap} ms`);
  }
}

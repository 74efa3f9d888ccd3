// A browser's sound by other ways than the straight one: with UDP blocked, by coturn over TCP; and by a proxy that
// changes its address in the call, as a network does that a laptop is carried out of.
//
//   node tests/web/paths.mjs BINARY

import { build } from "esbuild";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Caller } from "./caller.mjs";
import { CARRIER, IP, site, start, until } from "./server.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [binary = "target/debug/tandem"] = process.argv.slice(2);
const folder = path.resolve("target/tmp/web-paths");
const [MEDIA, PROXY, TURN] = [28_443, 28_543, 28_478];
/** Chromium checks a path that works each 2.5 s, and none but a check tells of a new address; in ms, with some leave. */
const NEXT_CHECK = 3_000;
const SECRET = "only the two of them know";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Carries datagrams between browsers and the server's media port; towards the server from a port that it may change. */
class Proxy {
  static async open() {
    const proxy = new Proxy();
    proxy.near = await bound(PROXY);
    await proxy.move();
    proxy.near.on("message", (bytes, { port, address }) => {
      proxy.browser = { port, address };
      proxy.far.send(bytes, MEDIA, IP);
    });
    return proxy;
  }

  /** From now on the server sees another address, and what it sends to the old one is lost. */
  async move() {
    const old = this.far;
    this.far = await bound(0);
    this.far.on("message", (bytes) => {
      if (this.browser) this.near.send(bytes, this.browser.port, this.browser.address);
    });
    old?.close();
  }

  close() {
    this.near.close();
    this.far.close();
  }
}

function bound(port) {
  const socket = dgram.createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, IP, () => resolve(socket));
  });
}

/** coturn with the scheme of time-limited credentials; it relays to loopback since there is nothing else here. */
async function coturn() {
  const log = path.join(folder, "turn.log");
  const child = spawn("turnserver", [
    "-n", "--listening-ip", IP, "--relay-ip", IP, "--listening-port", String(TURN), "--no-tls", "--no-dtls",
    "--use-auth-secret", `--static-auth-secret=${SECRET}`, "--realm", "tandem", "--allow-loopback-peers",
    "--cli-password", "unused", "--no-cli", "--min-port", "28600", "--max-port", "28699", "--simple-log",
    "--log-file", log, "--pidfile", path.join(folder, "turn.pid"), "--userdb", path.join(folder, "turn.db"),
  ], { stdio: "ignore" });
  process.on("exit", () => child.kill("SIGKILL"));
  await until("coturn", 10_000, () => {
    if (child.exitCode !== null) throw new Error(`coturn ended: ${fs.readFileSync(log, "utf8")}`);
    return fs.existsSync(log) && fs.readFileSync(log, "utf8").includes("SQLite DB connection success");
  });
  return child;
}

/** A call from the carrier that the page has answered, both heard. */
async function talk({ server, browser, url }, way) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  await page.goto(`${url}/paths.html`);
  await page.waitForFunction(() => globalThis.phone);
  await page.evaluate((it) => phone.register(it.url, "anna", it.way), { url: server.url, way });
  const caller = await Caller.open(CARRIER, server.sip, 440);
  const invited = caller.invite("700");
  await said(page, "incoming");
  await page.evaluate(() => phone.answer(1_000));
  assert.equal(await invited, 200);
  await said(page, "confirmed");
  await page.evaluate(() => phone.listen(440));
  await hear(page, caller, 15_000);
  return { page, caller };
}

async function hear(page, caller, limit) {
  await until("1 kHz at the caller", limit, () => caller.ear(1_000, 0.5).share > 0.9);
  await until("440 Hz at the page", limit, () => page.evaluate(() => {
    const heard = phone.ear.latest(0.5);
    return heard.share > 0.9 && heard.parts >= 25;
  }));
}

const said = (page, event) => until(`"${event}" at the page`, 20_000, () =>
  page.evaluate((event) => phone.events.includes(event), event));

const STEPS = {
  "with UDP blocked: sound both ways by coturn over TCP": async (world) => {
    const ice = await world.server.get("/v1/ice_servers");
    const iceServers = ice.ice_servers.filter((it) => it.credential);
    const tcp = iceServers.map((it) => ({ ...it, urls: it.urls.filter((url) => url.includes("transport=tcp")) }));
    const { page, caller } = await talk(world, { ice: { iceServers: tcp, iceTransportPolicy: "relay" } });
    const way = await page.evaluate(() => phone.path());
    assert.deepEqual(way, { kind: "relay", relay: "tcp" });
    await close(page, caller);
    return "relayed, tcp";
  },

  "the path is rebound in a call: sound is back with the browser's next check": async (world) => {
    const proxy = await Proxy.open();
    const { page, caller } = await talk(world, { ice: { iceServers: [] }, port: PROXY });
    const figures = [];
    for (let n = 0; n < 4; n += 1) {
      const from = Math.floor(caller.heard.length / 160);
      const seen = await page.evaluate(() => phone.ear.parts.length);
      await pause(300 + 500 * n);
      await proxy.move();
      await pause(4_000);
      const there = await page.evaluate((from) => {
        phone.ear.parts.splice(0, from);
        return phone.ear.latest(6).gap;
      }, seen);
      figures.push({ caller: caller.gap(1_000, from), page: there });
      await hear(page, caller, 5_000);
    }
    await close(page, caller);
    proxy.close();
    const told = figures.map((it) => `${it.caller}/${it.page}`).join(", ");
    for (const it of figures) {
      const most = Math.max(it.caller, it.page);
      assert.ok(most <= NEXT_CHECK, `gaps at caller/page in ms: ${told}`);
    }
    return `gaps at caller/page: ${told} ms`;
  },
};

async function close(page, caller) {
  assert.equal(await caller.bye(), 200);
  caller.close();
  await page.close();
}

fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
fs.copyFileSync(path.join(HERE, "paths.html"), path.join(folder, "paths.html"));
await build({
  entryPoints: [path.join(HERE, "paths.js")],
  outdir: folder,
  outExtension: { ".js": ".bundle.js" },
  bundle: true,
  format: "esm",
  logLevel: "warning",
});
const { server: pages, url } = await site(folder);
const turn = await coturn();
const settings = `[webrtc.turn]
urls = ["turn:${IP}:${TURN}?transport=tcp"]
secret = "${SECRET}"
`;
const server = await start(path.resolve(binary), folder, url, { settings });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    // Names in the place of addresses need a multicast that a namespace of its own has not.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
  ],
});
let failed = 0;
for (const [name, step] of Object.entries(STEPS)) {
  try {
    console.log(`${name} ... ok: ${await step({ server, browser, url })}`);
  } catch (error) {
    failed += 1;
    console.log(`${name} ... FAILED: ${error.message}`);
  }
}
await browser.close();
pages.close();
turn.kill();
await server.stop();
console.log(`${failed} failed; load average ${os.loadavg().map((it) => it.toFixed(1)).join(" ")}`);
process.exitCode = failed > 0 ? 1 : 0;

// A browser's sound by other ways than the straight one: with UDP blocked, by coturn over TCP; and by a proxy that
// changes its address in the call, as a network does that a laptop is carried out of.
//
//   node tests/web/paths.mjs BINARY

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import fs from "node:fs";
import path from "node:path";
import { Caller } from "./caller.mjs";
import { CARRIER, IP, until } from "./server.mjs";
import { both, figures, NAMES_OF_ADDRESSES, onStage, pause, said } from "./stage.mjs";

const [MEDIA, PROXY, TURN] = [28_443, 28_543, 28_478];
/** Chromium checks a path that works each 2.5 s; the server does not wait for that. In ms. */
const MISSED_MAX = 300;
const SECRET = "only the two of them know";

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
async function coturn(stage) {
  const { folder } = stage;
  const log = path.join(folder, "turn.log");
  const child = spawn("turnserver", [
    "-n", "--listening-ip", IP, "--relay-ip", IP, "--listening-port", String(TURN), "--no-tls", "--no-dtls",
    "--use-auth-secret", `--static-auth-secret=${SECRET}`, "--realm", "tandem", "--allow-loopback-peers",
    "--cli-password", "unused", "--no-cli", "--min-port", "28600", "--max-port", "28699", "--simple-log",
    "--log-file", log, "--pidfile", path.join(folder, "turn.pid"), "--userdb", path.join(folder, "turn.db"),
  ], { stdio: "ignore" });
  process.on("exit", () => child.kill("SIGKILL"));
  stage.closes(() => child.kill());
  await until("coturn", 10_000, () => {
    if (child.exitCode !== null) throw new Error(`coturn ended: ${fs.readFileSync(log, "utf8")}`);
    return fs.existsSync(log) && fs.readFileSync(log, "utf8").includes("SQLite DB connection success");
  });
}

/** A call from the carrier that the page has answered, both heard. */
async function talk({ stage, server, browser }, way) {
  const page = await stage.page(browser, "paths");
  await page.evaluate((it) => phone.register(it.url, "anna", it.way), { url: server.url, way });
  const caller = await Caller.open(CARRIER, server.sip, 440);
  const invited = caller.invite("700");
  await said(page, "incoming");
  await page.evaluate(() => phone.answer(1_000));
  assert.equal(await invited, 200);
  await said(page, "confirmed");
  await page.evaluate(() => phone.listen(440));
  await both(page, caller, { limit: 15_000 });
  return { page, caller };
}

const STEPS = {
  "with UDP blocked: sound both ways by coturn over TCP": async (world) => {
    const ice = await world.server.get("/v1/ice_servers");
    const iceServers = ice.ice_servers.filter((it) => it.credential);
    const tcp = iceServers.map((it) => ({ ...it, urls: it.urls.filter((url) => url.includes("transport=tcp")) }));
    const { page, caller } = await talk(world, { ice: { iceServers: tcp, iceTransportPolicy: "relay" } });
    const way = await page.evaluate(() => phone.path());
    assert.deepEqual(way, { kind: "relay", relay: "tcp" });
    await close(page, caller);
  },

  "the path is rebound in a call: nobody misses anything that could be heard": async (world) => {
    const proxy = await Proxy.open();
    const { page, caller } = await talk(world, { ice: { iceServers: [] }, port: PROXY });
    const gaps = [];
    for (let n = 0; n < 4; n += 1) {
      const from = Math.floor(caller.heard.length / 160);
      const seen = await page.evaluate(() => ear.parts.length);
      await pause(300 + 500 * n);
      await proxy.move();
      await pause(4_000);
      const there = await page.evaluate((from) => {
        ear.parts.splice(0, from);
        return ear.latest(6).gap;
      }, seen);
      gaps.push({ caller: caller.gap(1_000, from), page: there });
      await both(page, caller);
    }
    await close(page, caller);
    proxy.close();
    figures.push(`  gaps at caller/page: ${gaps.map((it) => `${it.caller}/${it.page}`).join(", ")} ms`);
    for (const it of gaps) assert.ok(Math.max(it.caller, it.page) <= MISSED_MAX, `want at most ${MISSED_MAX} ms`);
  },
};

async function close(page, caller) {
  assert.equal(await caller.bye(), 200);
  caller.close();
  await page.close();
}

const settings = `[webrtc.turn]
urls = ["turn:${IP}:${TURN}?transport=tcp"]
secret = "${SECRET}"
`;

await onStage("paths", "web-paths", async (stage) => {
  await stage.site("paths");
  await coturn(stage);
  const server = await stage.server({ settings });
  const browser = await stage.browser(NAMES_OF_ADDRESSES);
  await stage.steps({ stage, server, browser }, STEPS, { title: "paths", all: true });
});

// A browser and a carrier outside of a 1:1 NAT, the server behind it: sound both ways.
//
//   unshare -rn node tests/web/nat.mjs BINARY
//
// This namespace is the internet and the NAT; the server gets one of its own, with a private address and nothing else.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Caller } from "./caller.mjs";
import { site, until } from "./server.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [binary = "target/debug/tandem"] = process.argv.slice(2);
const folder = path.resolve("target/tmp/web-nat");
const [PRIVATE, GATEWAY, PUBLIC, OUTSIDE] = ["10.9.0.2", "10.9.0.1", "203.0.113.5", "203.0.113.1"];
const [SIP, HTTP, MEDIA] = [25_060, 28_080, 28_443];
const LINKS = ["tandem-out", "tandem-in"];

const run = (line) => {
  const [program, ...words] = line.split(" ");
  return execFileSync(program, words, { encoding: "utf8" });
};

const config = (origin) => `
api_key = "end-to-end-0123456789"
[http]
listen = "${PRIVATE}:${HTTP}"
origins = ["${origin}"]
[sip]
udp = ["${PRIVATE}:${SIP}"]
tcp = []
tls = []
advertised = "${PUBLIC}"
media = "${PUBLIC}"
[rtp]
port_min = 26000
port_max = 26999
[webrtc]
port = ${MEDIA}
advertised = ["${PUBLIC}"]
[trunks.carrier]
addresses = ["${OUTSIDE}"]
[endpoints.anna]
password = "secret-anna"
digest = "both"
`;

const PLAN = `dialplan version=1
entry pattern="*" flow="anna"
flow "anna" {
  dial "anna" timeout="20s"
}
`;

/** The server in a namespace of its own, behind this one's NAT. */
async function behindNat(origin) {
  fs.mkdirSync(path.join(folder, "dialplans"), { recursive: true });
  fs.writeFileSync(path.join(folder, "dialplans/main.kdl"), PLAN);
  fs.writeFileSync(path.join(folder, "tandem.toml"), config(origin));
  const log = fs.openSync(path.join(folder, "server.log"), "w");
  const inside = `
    until ip link show ${LINKS[1]} >/dev/null 2>&1; do sleep 0.05; done
    ip link set lo up
    ip addr add ${PRIVATE}/24 dev ${LINKS[1]} && ip link set ${LINKS[1]} up && ip route add default via ${GATEWAY}
    exec "$0" serve --config tandem.toml`;
  const child = spawn("unshare", ["-n", "sh", "-c", inside, path.resolve(binary)], {
    cwd: folder, stdio: ["ignore", log, log],
  });
  process.on("exit", () => child.kill("SIGKILL"));
  const own = fs.readlinkSync("/proc/self/ns/net");
  await until("its namespace", 5_000, () => fs.readlinkSync(`/proc/${child.pid}/ns/net`) !== own);
  run("ip link set lo up");
  run(`ip link add ${LINKS[0]} type veth peer name ${LINKS[1]}`);
  run(`ip link set ${LINKS[1]} netns ${child.pid}`);
  run(`ip addr add ${GATEWAY}/24 dev ${LINKS[0]}`);
  run(`ip addr add ${OUTSIDE}/24 dev ${LINKS[0]}`);
  run(`ip link set ${LINKS[0]} up`);
  run(`iptables -t nat -A OUTPUT -d ${PUBLIC} -j DNAT --to-destination ${PRIVATE}`);
  run(`iptables -t nat -A INPUT -s ${PRIVATE} -j SNAT --to-source ${PUBLIC}`);
  const tail = () => fs.readFileSync(path.join(folder, "server.log"), "utf8").split("\n").slice(-20).join("\n");
  await until("the server", 40_000, async () => {
    if (child.exitCode !== null) throw new Error(`it ended:\n${tail()}`);
    return (await fetch(`http://${PUBLIC}:${HTTP}/readyz`).catch(() => null))?.ok;
  });
  return child;
}

fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
fs.copyFileSync(path.join(HERE, "paths.html"), path.join(folder, "paths.html"));
await build({
  entryPoints: [path.join(HERE, "paths.js")], outdir: folder, outExtension: { ".js": ".bundle.js" },
  bundle: true, format: "esm", logLevel: "warning",
});
run("ip link set lo up");
const { server: pages, url } = await site(folder);
const server = await behindNat(url);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
  ],
});
let word = "ok";
try {
  const page = await browser.newPage({ permissions: ["microphone"] });
  page.on("pageerror", (error) => console.error(String(error)));
  await page.goto(`${url}/paths.html`);
  await page.waitForFunction(() => globalThis.phone);
  await page.evaluate((to) => phone.register(to, "anna", { ice: { iceServers: [] } }), `ws://${PUBLIC}:${HTTP}/sip`);
  const caller = await Caller.open(OUTSIDE, { host: PUBLIC, port: SIP }, 440);
  const invited = caller.invite("700");
  await until("the ring", 20_000, () => page.evaluate(() => phone.events.includes("incoming")));
  await page.evaluate(() => phone.answer(1_000));
  assert.equal(await invited, 200);
  await until("the call", 20_000, () => page.evaluate(() => phone.events.includes("confirmed")));
  await page.evaluate(() => phone.listen(440));
  await until("1 kHz at the caller", 15_000, () => caller.ear(1_000, 0.5).share > 0.9);
  await until("440 Hz at the page", 15_000, () => page.evaluate(() => phone.ear.latest(0.5).share > 0.9));
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const [there, here] = [await page.evaluate(() => phone.ear.latest(1)), caller.ear(1_000, 1)];
  const far = await page.evaluate(() => phone.far());
  assert.equal(far, `${PUBLIC}:${MEDIA}`, "the browser's peer");
  assert.ok(there.gap <= 60 && here.share > 0.9 && there.share > 0.9, JSON.stringify({ there, here }));
  assert.equal(await caller.bye(), 200);
  caller.close();
  word = `ok: 1 kHz share ${here.share.toFixed(3)} at the caller, 440 Hz ${there.share.toFixed(3)} at the page, which sees ${far}`;
} catch (error) {
  word = `FAILED: ${error.message}`;
  process.exitCode = 1;
} finally {
  await browser.close();
  pages.close();
  server.kill("SIGTERM");
}
console.log(`a server behind a 1:1 NAT ... ${word}; load average ${os.loadavg().map((it) => it.toFixed(1)).join(" ")}`);

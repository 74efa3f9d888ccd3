// A browser and a carrier outside of a 1:1 NAT, the server behind it: sound both ways.
//
//   unshare -rn node tests/web/nat.mjs BINARY
//
// This namespace is the internet and the NAT; the server gets one of its own, with a private address and nothing else.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Caller } from "./caller.mjs";
import { until } from "./server.mjs";
import { binary, hear, NAMES_OF_ADDRESSES, onStage, said } from "./stage.mjs";

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
async function behindNat({ folder, url }) {
  fs.mkdirSync(path.join(folder, "dialplans"), { recursive: true });
  fs.writeFileSync(path.join(folder, "dialplans/main.kdl"), PLAN);
  fs.writeFileSync(path.join(folder, "tandem.toml"), config(url));
  const log = fs.openSync(path.join(folder, "server.log"), "w");
  const inside = `
    until ip link show ${LINKS[1]} >/dev/null 2>&1; do sleep 0.05; done
    ip link set lo up
    ip addr add ${PRIVATE}/24 dev ${LINKS[1]} && ip link set ${LINKS[1]} up && ip route add default via ${GATEWAY}
    exec "$0" serve --config tandem.toml`;
  const child = spawn("unshare", ["-n", "sh", "-c", inside, binary], {
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

const STEPS = {
  "a browser and a carrier outside of a 1:1 NAT hear each other through the server behind it": async ({ stage, browser }) => {
    const page = await stage.page(browser, "paths", { permissions: ["microphone"] });
    await page.evaluate((to) => phone.register(to, "anna", { ice: { iceServers: [] } }), `ws://${PUBLIC}:${HTTP}/sip`);
    const caller = await Caller.open(OUTSIDE, { host: PUBLIC, port: SIP }, 440);
    const invited = caller.invite("700");
    await said(page, "incoming");
    await page.evaluate(() => phone.answer(1_000));
    assert.equal(await invited, 200);
    await said(page, "confirmed");
    await page.evaluate(() => phone.listen(440));
    await hear(page, caller, { limit: 15_000 });
    const far = await page.evaluate(() => phone.far());
    assert.equal(far, `${PUBLIC}:${MEDIA}`, "the browser's peer");
    assert.equal(await caller.bye(), 200);
    caller.close();
  },
};

run("ip link set lo up");
await onStage("nat", "web-nat", async (stage) => {
  await stage.site("paths");
  const server = await behindNat(stage);
  stage.closes(() => server.kill("SIGTERM"));
  const browser = await stage.browser(NAMES_OF_ADDRESSES, "LocalNetworkAccessChecks");
  await stage.steps({ stage, browser }, STEPS, { title: "nat" });
});

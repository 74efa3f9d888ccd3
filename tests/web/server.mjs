// The server under test, and the site that its pages come from.

import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";

export const KEY = "end-to-end-0123456789";
export const IP = "127.0.0.1";
export const CARRIER = "127.0.0.2";
/** The password of an agent who logs in. */
export const BERTA = "correct horse";
const [SIP, HTTP] = [25_060, 28_080];

/** Starts the server with two pages' accounts and a flow that rings whoever is called, or another plan. */
export async function start(binary, folder, site, { plan = PLAN, settings = "" } = {}) {
  fs.mkdirSync(path.join(folder, "dialplans"), { recursive: true });
  fs.writeFileSync(path.join(folder, "dialplans/main.kdl"), plan);
  const hash = execFileSync(binary, ["hash-password"], { input: `${BERTA}\n`, encoding: "utf8" });
  const config = `
api_key = "${KEY}"
[http]
listen = "${IP}:${HTTP}"
${site && `origins = ["${site}"]`}
[log]
filter = "info,tandem=debug"
[sip]
udp = ["${IP}:${SIP}"]
tcp = []
tls = []
[rtp]
port_min = 26000
port_max = 26999
[webrtc]
port = 28443
[trunks.carrier]
addresses = ["${CARRIER}"]
send_to = ["${CARRIER}:5060"]
[endpoints.anna]
password = "secret-anna"
digest = "both"
[agents.berta]
password_hash = "${hash.trim()}"
${settings}`;
  fs.writeFileSync(path.join(folder, "tandem.toml"), config);
  fs.mkdirSync(path.join(folder, "prompts"), { recursive: true });
  fs.writeFileSync(path.join(folder, "prompts/tone.wav"), wav(440, 20));
  const log = fs.openSync(path.join(folder, "server.log"), "w");
  const child = spawn(binary, ["serve", "--config", "tandem.toml"], {
    cwd: folder,
    stdio: ["ignore", log, log],
  });
  // However this program ends, what it started ends with it.
  process.on("exit", () => child.kill("SIGKILL"));
  const server = new Server(child, folder);
  await until("the server", 40_000, async () => {
    if (child.exitCode !== null) throw new Error(`it ended:\n${server.tail()}`);
    const ready = (await fetch(`http://${IP}:${HTTP}/readyz`).catch(() => null))?.ok;
    return ready && server.tail().includes("SIP UDP");
  });
  return server;
}

class Server {
  constructor(child, folder) {
    Object.assign(this, { child, folder });
    this.sip = { host: IP, port: SIP };
    this.home = `http://${IP}:${HTTP}`;
    this.url = `ws://${IP}:${HTTP}/sip`;
  }

  async get(what) {
    const headers = { authorization: `Bearer ${KEY}` };
    const response = await fetch(`http://${IP}:${HTTP}${what}`, { headers });
    return response.json();
  }

  async bytes(what) {
    const headers = { authorization: `Bearer ${KEY}` };
    const response = await fetch(`http://${IP}:${HTTP}${what}`, { headers });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  }

  /** An agent's token for his password. */
  async logIn(agent, password) {
    const body = JSON.stringify({ agent, password });
    const response = await fetch(`http://${IP}:${HTTP}/v1/login`, { method: "POST", body });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return (await response.json()).token;
  }

  async logOut(token) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`http://${IP}:${HTTP}/v1/login`, { method: "DELETE", headers });
    if (response.status !== 204) throw new Error(`${response.status}: ${await response.text()}`);
  }

  /** Where an endpoint is registered. */
  async contacts(name) {
    const list = await this.get("/v1/endpoints");
    return list.find((it) => it.name === name)?.contacts ?? [];
  }

  tail() {
    const text = fs.readFileSync(path.join(this.folder, "server.log"), "utf8");
    return text.split("\n").slice(-30).join("\n");
  }

  /** Ends it in order; a second signal ends a call that a step has left. */
  async stop() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    const hurry = setTimeout(() => this.child.kill("SIGTERM"), 3_000);
    const late = setTimeout(() => this.child.kill("SIGKILL"), 20_000);
    const code = await ended;
    clearTimeout(hurry);
    clearTimeout(late);
    if (code !== 0) throw new Error(`the server ended with ${code}`);
  }
}

/** Polls until `look` says something. */
export async function until(what, limit, look) {
  const deadline = performance.now() + limit;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited ${limit} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Serves the files of a folder on a port that the system chooses. */
export function site(folder) {
  const types = { ".html": "text/html", ".js": "text/javascript" };
  const server = http.createServer((request, response) => {
    const name = path.basename(new URL(request.url, "http://x").pathname);
    const file = path.join(folder, name);
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[path.extname(file)] ?? "text/plain" });
    return response.end(fs.readFileSync(file));
  });
  return new Promise((resolve) => {
    server.listen(0, IP, () => resolve({ server, url: `http://${IP}:${server.address().port}` }));
  });
}

/** A WAV file of that tone, 8 kHz, 16 bits. */
function wav(hz, seconds) {
  const count = 8_000 * seconds;
  const bytes = Buffer.alloc(44 + 2 * count);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 2 * count, 4);
  bytes.write("WAVEfmt ", 8);
  [16, 1 | (1 << 16), 8_000, 16_000, 2 | (16 << 16)].forEach((it, n) =>
    bytes.writeUInt32LE(it, 16 + 4 * n));
  bytes.write("data", 36);
  bytes.writeUInt32LE(2 * count, 40);
  for (let n = 0; n < count; n += 1) {
    const sample = 0.5 * Math.sin((2 * Math.PI * hz * n) / 8_000);
    bytes.writeInt16LE(Math.round(sample * 32_767), 44 + 2 * n);
  }
  return bytes;
}

const PLAN = `dialplan version=1

entry did="600" flow="tone"
entry did="601" flow="menu"
entry did="702" flow="either"
entry pattern="+4930*" flow="out"
entry pattern="*" flow="anna"

flow "anna" {
  dial "anna" timeout="20s"
}

flow "either" {
  dial "anna" "+4930711" trunk="carrier" timeout="20s"
}

flow "out" {
  transfer "{to}" trunk="carrier"
}

menu "menu" {
  gather timeout="10s"
  on "5" {
    goto "tone"
  }
  on timeout max=2 {
    hangup
  }
}

flow "tone" {
  answer
  play "tone.wav"
  hangup
}
`;

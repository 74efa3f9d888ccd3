// SIPp as a carrier's caller, with a tone; what it is sent is heard on the wire, by tcpdump, since SIPp keeps no sound.

import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Hearing } from "./hearing.mjs";
import { until } from "./server.mjs";
import { encode } from "./sound.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));

export class Sipp extends Hearing {
  name = "SIPp";
  ended = null;
  #rest = Buffer.alloc(0);
  #began = false;

  /** Calls `number` at the server from `ip`; it says `hz`. */
  static async call(stage, ip, server, number, hz) {
    const { folder } = stage;
    const sipp = new Sipp();
    stage.closes(() => sipp.close());
    sipp.ip = ip;
    await sipp.#listen(folder);
    // Whole periods of the tone and whole packets, so that it goes on where it began.
    const samples = Array.from({ length: 80_000 }, (_, n) => encode(0.5 * Math.sin((2 * Math.PI * hz * n) / 8_000)));
    fs.writeFileSync(path.join(folder, "tone.ulaw"), Buffer.from(samples));
    sipp.process = started("sipp", [
      `${server.host}:${server.port}`, "-sf", path.join(HERE, "sipp-caller.xml"), "-i", ip, "-p", "5066", "-mi", ip,
      "-s", number, "-m", "1", "-nostdin", "-trace_err", "-error_file", path.join(folder, "sipp.err"),
    ], folder);
    return sipp;
  }

  /** When the server has hung up, in ms of the wall clock; its scenario must have ended as it says. */
  async hungUp(limit = 10_000) {
    const code = await until("SIPp's end", limit, () => this.process.exitCode !== null && { code: this.process.exitCode });
    if (code.code !== 0) throw new Error(`SIPp ended with ${code.code}`);
    return this.ended;
  }

  close() {
    this.process?.kill("SIGKILL");
    this.wire?.kill("SIGINT");
  }

  async #listen(folder) {
    this.wire = started("tcpdump", [
      "-i", "lo", "-n", "-U", "--immediate-mode", "-s", "2000", ...(process.getuid() === 0 ? ["-Z", "root"] : []),
      "-w", "-", `udp and dst host ${this.ip}`,
    ], folder);
    this.wire.stdout.on("data", (bytes) => this.#take(bytes));
    await until("tcpdump to listen", 10_000, () => {
      if (this.wire.exitCode !== null) throw new Error("tcpdump cannot capture, which takes root or CAP_NET_RAW");
      return fs.readFileSync(path.join(folder, "tcpdump.log"), "utf8").includes("listening on");
    });
  }

  /** A capture as it comes: 24 bytes of head, then each frame after 16 bytes with its time and length. */
  #take(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (!this.#began && this.#rest.length >= 24) {
      this.#began = true;
      this.#rest = this.#rest.subarray(24);
    }
    while (this.#began && this.#rest.length >= 16) {
      const length = this.#rest.readUInt32LE(8);
      if (this.#rest.length < 16 + length) return;
      const at = this.#rest.readUInt32LE(0) * 1_000 + this.#rest.readUInt32LE(4) / 1_000;
      this.#onFrame(at, this.#rest.subarray(16, 16 + length));
      this.#rest = this.#rest.subarray(16 + length);
    }
  }

  /** Ethernet, IPv4 and UDP around RTP or SIP, whose first two bits tell which. */
  #onFrame(at, frame) {
    const payload = frame.subarray(14 + 4 * (frame[14] & 0x0f) + 8);
    if (payload[0] >> 6 === 2) this.onPacket(payload);
    else if (payload.toString("latin1", 0, 4) === "BYE ") this.ended ??= at;
  }
}

/** A program whose words go to a file of its name, and which ends with this one. */
function started(program, words, folder) {
  const log = fs.openSync(path.join(folder, `${program}.log`), "w");
  const child = spawn(program, words, { cwd: folder, stdio: ["ignore", program === "tcpdump" ? "pipe" : log, log] });
  process.on("exit", () => child.kill("SIGKILL"));
  return child;
}

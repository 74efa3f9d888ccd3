// Mouth to ear through the server, beside Chromium to Chromium in the same run, for G.711 and Opus.
//
//   node tests/web/latency.mjs BINARY [SECONDS]
//
// Fails where the server adds more than 25 ms to the median.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { site, start } from "./server.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [binary = "target/debug/tandem", seconds = "15"] = process.argv.slice(2);
const folder = path.resolve("target/tmp/web-latency");

/** How much later sound may come than without a server between, in ms. */
const ADDED_MAX = 25;

const CODECS = [
  { mime: "audio/pcmu", codec: "pcmu", pair: ["paula", "peter", "801"] },
  { mime: "audio/opus", codec: "opus", pair: ["olga", "otto", "802"] },
];

const settings = CODECS.flatMap(({ codec, pair }) => pair.slice(0, 2).map((name) =>
  `[endpoints.${name}]\npassword = "secret-${name}"\ndigest = "both"\ncodecs = ["${codec}"]\n`)).join("");

const plan = `dialplan version=1
${CODECS.map(({ pair: [, callee, number] }) => `
entry did="${number}" flow="${callee}"
flow "${callee}" {
  dial "${callee}" timeout="20s"
}
`).join("")}`;

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const told = (list) => list.length === 0 ? "nothing" : `p50 ${median(list).toFixed(1)} ms (${Math.min(...list).toFixed(1)} to ` +
  `${Math.max(...list).toFixed(1)}, ${list.length} bursts)`;

fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
fs.copyFileSync(path.join(HERE, "latency.html"), path.join(folder, "latency.html"));
await build({
  entryPoints: [path.join(HERE, "latency.js")],
  outdir: folder,
  outExtension: { ".js": ".bundle.js" },
  bundle: true,
  format: "esm",
  logLevel: "warning",
});
const { server: pages, url } = await site(folder);
const server = await start(path.resolve(binary), folder, url, { plan, settings });
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
try {
  for (const { mime, pair } of CODECS) {
    // A page that may not hear is not told all of its machine's addresses.
    const page = await browser.newPage({ permissions: ["microphone"] });
    page.on("pageerror", (error) => console.error(`${mime}: ${error}`));
    await page.goto(`${url}/latency.html`);
    await page.waitForFunction(() => globalThis.latency);
    const direct = await page.evaluate((it) => latency.direct(...it), [mime, Number(seconds)]);
    const { found, codec } = await page.evaluate(
      (it) => latency.through(...it), [server.url, pair, Number(seconds)]);
    await page.close();
    const added = median(found) - median(direct);
    const enough = Math.min(found.length, direct.length) >= Number(seconds);
    const holds = enough && added <= ADDED_MAX && codec?.toLowerCase() === mime;
    console.log(`${mime}: Chromium to Chromium ${told(direct)}\n  through the server (${codec}) ${told(found)}\n` +
      `  added ${added.toFixed(1)} ms, want at most ${ADDED_MAX} ... ${holds ? "ok" : "FAILED"}`);
    failed += holds ? 0 : 1;
  }
} finally {
  await browser.close();
  pages.close();
  await server.stop();
}
console.log(`${failed} failed; load average ${os.loadavg().map((it) => it.toFixed(1)).join(" ")}`);
process.exitCode = failed > 0 ? 1 : 0;

// A headless Chromium as an agent's phone, for a program of another kind: it takes commands by lines of its standard input
// (`hold`, `transfer sip:bob@…`), tells what happens by lines of JSON, and writes what each call hears to FOLDER.
//
//   node tests/web/agent.mjs URL NAME HZ auto|manual FOLDER
//
// `heard-N-MS.raw`: the Nth call's sound, 16 bits at 8 kHz; its first sample was heard MS ms after 1970 began.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const [url, name, hz, answers, folder] = process.argv.slice(2);
/** A site that there is none of: the script is given where the browser asks for it. */
const SITE = "http://localhost";

const { outputFiles: [{ text: script }] } = await build({
  entryPoints: [path.join(HERE, "agent.js")],
  bundle: true,
  format: "esm",
  write: false,
  logLevel: "warning",
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",
    // The page is of no address, and the server of a local one.
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
  ],
});
const page = await browser.newPage({ permissions: ["microphone"] });
page.on("pageerror", (error) => console.log(`page: ${error}`));
page.on("console", (message) => console.log(`page: ${message.text()}`));
await page.exposeFunction("tell", (event) => console.log(JSON.stringify(event)));

const files = new Map();
await page.exposeFunction("keep", ({ call, at, samples }) => {
  if (!files.has(call)) files.set(call, path.join(folder, `heard-${call}-${Math.round(at * 1_000)}.raw`));
  const bytes = Buffer.alloc(2 * samples.length);
  samples.forEach((it, n) => bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, it)) * 32_767), 2 * n));
  fs.appendFileSync(files.get(call), bytes);
});

await page.route(`${SITE}/**`, (route) => route.request().url().endsWith(".js")
  ? route.fulfill({ contentType: "text/javascript", body: script })
  : route.fulfill({ contentType: "text/html", body: '<!doctype html><script type="module" src="agent.js"></script>' }));
await page.goto(`${SITE}/`);
await page.waitForFunction(() => globalThis.agent);
const who = { url, name, password: `secret-${name}`, hz: Number(hz), answers: answers === "auto" };
await page.evaluate((who) => agent.register(who), who);

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const [word, ...parameter] = line.split(" ");
  try {
    await page.evaluate(([word, parameter]) => agent.command(word, parameter), [word, parameter.join(" ")]);
  } catch (error) {
    console.log(`page: ${line}: ${error.message}`);
  }
});

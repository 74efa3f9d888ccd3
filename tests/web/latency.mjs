// Mouth to ear through the server, beside Chromium to Chromium in the same run, for G.711 and Opus: to another browser, and
// to a carrier's phone and back. That phone says at once what it hears, so that the page's clock alone measures both ways:
// what they take beyond Chromium to Chromium is what the server adds from browser to SIP and from SIP to browser.
//
//   node tests/web/latency.mjs BINARY [SECONDS]
//
// Fails where the server adds more than 25 ms to the median of a way, 50 to both together.

import assert from "node:assert/strict";
import { Mirror } from "./mirror.mjs";
import { figures, NAMES_OF_ADDRESSES, onStage, words } from "./stage.mjs";

const seconds = Number(words[0] ?? 15);

/** How much later sound may come than without a server between, in ms. */
const ADDED_MAX = 25;

const CODECS = [
  { mime: "audio/pcmu", codec: "pcmu", pair: ["paula", "peter", "801"] },
  { mime: "audio/opus", codec: "opus", pair: ["olga", "otto", "802"] },
];

/** Where the phone that says what it hears is, and what it speaks. */
const MIRRORS = "127.0.0.3";
const [PCMU, OPUS] = [{ type: 0, name: "PCMU/8000" }, { type: 111, name: "opus/48000/2" }];

const settings = `[trunks.mirrors]\naddresses = ["${MIRRORS}"]\ncodecs = ["opus", "pcmu"]\n` + CODECS.flatMap(({ codec, pair }) => pair.slice(0, 2).map((name) =>
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

/** One codec, first from Chromium to Chromium, then with the server between. */
const step = ({ mime, pair }) => async ({ stage, browser, server }) => {
  // A page that may not hear is not told all of its machine's addresses.
  const page = await stage.page(browser, "latency", { name: "latency", permissions: ["microphone"] });
  const direct = await page.evaluate((it) => latency.direct(...it), [mime, seconds]);
  const { found, codec } = await page.evaluate((it) => latency.through(...it), [server.url, pair, seconds]);
  await page.close();
  const added = median(found) - median(direct);
  figures.push(
    `  Chromium to Chromium ${told(direct)}\n  through the server (${codec}) ${told(found)}\n` +
    `  added ${added.toFixed(1)} ms`,
  );
  assert.equal(codec?.toLowerCase(), mime);
  assert.ok(Math.min(found.length, direct.length) >= seconds, "too few bursts came");
  assert.ok(added <= ADDED_MAX, `want at most ${ADDED_MAX} ms added`);
};

/** The way to a phone that speaks `spoken`, and back, for one codec of the browser's. */
const mirrored = ({ mime, pair: [, user, number] }, spoken) => async ({ stage, browser, server }) => {
  const page = await stage.page(browser, "latency", { name: "latency", permissions: ["microphone"] });
  const direct = await page.evaluate((it) => latency.direct(...it), [mime, seconds]);
  await page.evaluate((it) => latency.waits(...it), [server.url, user]);
  const returned = page.evaluate((it) => latency.returned(it), seconds);
  const mirror = await Mirror.open(MIRRORS, server.sip, spoken);
  assert.equal(await mirror.invite(number), 200);
  const found = await returned;
  mirror.close();
  await page.close();
  const added = median(found) - median(direct);
  figures.push(
    `  Chromium to Chromium ${told(direct)}\n  to SIP (${spoken.name}) and back ${told(found)}\n` +
    `  added ${added.toFixed(1)} ms both ways together`,
  );
  assert.ok(Math.min(found.length, direct.length) >= seconds, "too few bursts came");
  assert.ok(added <= 2 * ADDED_MAX, `want at most ${ADDED_MAX} ms added to each way`);
};

const [pcmu, opus] = CODECS;
const STEPS = {
  ...Object.fromEntries(CODECS.map((it) => [it.mime, step(it)])),
  "audio/pcmu, SIP with PCMU": mirrored(pcmu, PCMU),
  "audio/opus, SIP with Opus": mirrored(opus, OPUS),
  "audio/opus, SIP with PCMU": mirrored(opus, PCMU),
};

await onStage("latency", "web-latency", async (stage) => {
  await stage.site("latency");
  const server = await stage.server({ plan, settings });
  const browser = await stage.browser(NAMES_OF_ADDRESSES);
  await stage.steps({ stage, server, browser }, STEPS, { title: "latency", all: true });
});

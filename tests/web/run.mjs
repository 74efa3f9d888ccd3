// Unmodified JsSIP, SIP.js and @telnyx/webrtc in a headless Chromium against the server that was just built: registration,
// calls both ways, sound both ways, and every end.
//
//   node tests/web/run.mjs BINARY [CLIENT…]
//
// Everything is on loopback; what a run leaves is below target/tmp/e2e-web.

import assert from "node:assert/strict";
import { OWN, STEPS as CALLS } from "./calls.mjs";
import { Caller } from "./caller.mjs";
import { BERTA, CARRIER } from "./server.mjs";
import { onStage, said, within, words } from "./stage.mjs";
import { STEPS as TRANSFERS } from "./transfers.mjs";

const CLIENTS = ["jssip", "sipjs", "telnyx"];

/** What each client is put through, in this order; each begins and ends registered and without a call. */
const STEPS = {
  "registers by digest and is where its socket is": async ({ server }) => {
    const [contact] = await server.contacts("anna");
    assert.match(JSON.stringify(contact), /\.invalid/);
  },

  "declines a call, and the caller is told": async ({ server, page }) => {
    const caller = await Caller.open(CARRIER, server.sip);
    const invited = caller.invite("700");
    await said(page, "incoming");
    await page.evaluate(() => phone.reject(486));
    assert.ok((await invited) >= 400);
    caller.close();
  },

  "an unknown password is refused": async ({ stage, server, context, client }) => {
    const stranger = await stage.page(context, client);
    const refused = stranger.evaluate((to) => phone.register(to, "anna", "guess"), server.url);
    await assert.rejects(refused);
    await stranger.close();
  },

  "registers by the token of an agent's login, and is put out when he logs out": async ({ stage, server, context, client }) => {
    if (client === "sipjs") return "left out: it has no word for tokens";
    const token = await server.logIn("berta", BERTA);
    const page = await stage.page(context, client);
    const by = (page) => page.evaluate(
      ([url, token]) => phone.register(url, "berta", undefined, token), [server.url, token]);
    await by(page);
    assert.equal((await server.contacts("berta")).length, 1);
    const asked = performance.now();
    await server.logOut(token);
    await said(page, "disconnected");
    within(5_000, performance.now() - asked, "from the log-out to the page's loss of its socket");
    assert.deepEqual(await server.contacts("berta"), []);
    await page.close();
    const again = await stage.page(context, client);
    await assert.rejects(by(again));
    await again.close();
  },

  "loses its socket and is registered again by another": async ({ server, page }) => {
    const [before] = await server.contacts("anna");
    await page.evaluate(() => { phone.fresh(); phone.cut(); });
    await said(page, "registered");
    const [after, ...more] = await server.contacts("anna");
    assert.equal(more.length, 0);
    assert.notDeepEqual(after, before);
  },
};

await onStage("browsers' phones", "e2e-web", async (stage) => {
  const clients = words.length > 0 ? words : CLIENTS;
  await stage.site(...clients);
  const server = await stage.server();
  const browser = await stage.browser();
  for (const client of clients) {
    const context = await browser.newContext();
    const page = await stage.page(context, client);
    await page.evaluate((to) => phone.register(to, "anna", "secret-anna"), server.url);
    const steps = { ...STEPS, ...CALLS, ...TRANSFERS, ...OWN[client] };
    await stage.steps({ stage, server, context, page, client }, steps, { title: client });
    await page.evaluate(() => phone.unregister()).catch(() => {});
    await context.close();
  }
});

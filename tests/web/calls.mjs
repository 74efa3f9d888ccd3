// Calls of a browser's phone, by sound at both ends.

import assert from "node:assert/strict";
import { Caller } from "./caller.mjs";
import { CARRIER, until } from "./server.mjs";
import { figures, hear, heard, pause, said, within } from "./stage.mjs";

/** What each client is put through, in this order; each begins and ends registered and without a call. */
export const STEPS = {
  "answers; 440 Hz one way, 1 kHz the other; hangs up": async (world) => {
    const caller = await talk(world);
    await hear(world.page, caller);
    const [asked] = await Promise.all([world.page.evaluate(hangUp), caller.hungUp()]);
    within(200, caller.endedAt() - asked, "from the page's button to the caller's BYE");
    caller.close();
  },

  "answers; the caller hangs up": async (world) => {
    const caller = await talk(world);
    await hear(world.page, caller);
    const asked = caller.wall();
    assert.equal(await caller.bye(), 200);
    within(200, (await ended(world.page)) - asked, "from the caller's BYE to the page's end");
    caller.close();
  },

  "mutes, holds, resumes: the caller hears the page when he should": async (world) => {
    const caller = await talk(world);
    await hear(world.page, caller);
    await world.page.evaluate(() => phone.mute(true));
    await caller.hearsNo(1_000);
    await goesOn(caller);
    await world.page.evaluate(() => phone.mute(false));
    await hear(world.page, caller);
    await world.page.evaluate(() => phone.hold(true));
    await caller.hearsNo(1_000);
    await world.page.evaluate(() => phone.hold(false));
    await hear(world.page, caller);
    assert.equal(await caller.bye(), 200);
    caller.close();
  },

  "presses a key for a menu": async ({ page }) => {
    await page.evaluate(() => { phone.fresh(); phone.call("601", 1_000); });
    await said(page, "confirmed");
    await page.evaluate(() => phone.listen(440));
    await pause(500);
    await page.evaluate(() => phone.press("5"));
    await heard(page);
    await page.evaluate(hangUp);
    await ended(page);
  },

  "the socket is lost in a call: sound goes on, and the end finds the new one": async (world) => {
    const caller = await talk(world);
    await world.page.evaluate(() => { phone.events.length = 0; phone.cut(); });
    await said(world.page, "registered");
    if (await world.page.evaluate(() => phone.takesUp)) await said(world.page, "confirmed");
    await hear(world.page, caller);
    assert.equal(await caller.bye(), 200);
    await ended(world.page);
    caller.close();
  },

  "calls a number and hears what is played there": async ({ page }) => {
    await page.evaluate(() => { phone.fresh(); phone.call("600", 1_000); });
    await said(page, "confirmed");
    await page.evaluate(() => phone.listen(440));
    await heard(page);
    await page.evaluate(hangUp);
    await ended(page);
  },
};

/** What one client can do and the others cannot. */
export const OWN = {
  telnyx: {
    "is reloaded in a call: sound is back within 2 s, and the caller was never let go": async (world) => {
      const caller = await talk(world);
      await hear(world.page, caller);
      const from = Math.floor(caller.heard.length / 160);
      await world.page.reload();
      await world.page.waitForFunction(() => globalThis.phone);
      await world.page.evaluate((to) => phone.register(to, "anna", "secret-anna"), world.server.url);
      await said(world.page, "confirmed");
      await world.page.evaluate(() => phone.listen(440));
      await hear(world.page, caller, { limit: 8_000 });
      within(2_000, caller.silence(1_000, from), "without the page's tone at the caller");
      assert.equal(caller.ended, null);
      assert.equal(await caller.bye(), 200);
      await ended(world.page);
      caller.close();
    },
  },
};

/** As a phone with a headset's switch it goes on sending: packets at the caller, a second. */
async function goesOn(caller) {
  const [before, began] = [caller.received, performance.now()];
  await pause(2_000);
  const rate = (1_000 * (caller.received - before)) / (performance.now() - began);
  figures.push(`  ${rate.toFixed(1)} packets a second at the caller while the page is mute`);
  assert.ok(rate > 45 && rate < 55, `${rate.toFixed(1)} packets a second, want 50`);
}

/** The page's clock when it was asked. */
const hangUp = () => {
  const at = performance.timeOrigin + performance.now();
  phone.hangUp();
  return at;
};

/** A call from the carrier that the page has answered. */
async function talk({ server, page }, options) {
  await page.evaluate(() => phone.fresh());
  const caller = await Caller.open(CARRIER, server.sip, 440, options);
  const invited = caller.invite("700");
  await said(page, "incoming");
  await page.evaluate(() => phone.answer(1_000));
  assert.equal(await invited, 200);
  await said(page, "confirmed");
  await page.evaluate(() => phone.listen(440));
  return caller;
}

/** When the page's call was over. */
async function ended(page) {
  await until("the page's end", 3_000, () => page.evaluate(() => phone.standing() === 0));
  return page.evaluate(() => phone.over);
}

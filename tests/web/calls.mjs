// Calls of a browser's phone, by sound at both ends.

import assert from "node:assert/strict";
import { Callee, NUMBER, OTHER } from "./callee.mjs";
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
    await goesOn(world.page, caller);
    await world.page.evaluate(() => phone.mute(false));
    await hear(world.page, caller);
    await world.page.evaluate(() => phone.hold(true));
    await caller.hearsNo(1_000);
    await world.page.evaluate(() => phone.hold(false));
    await hear(world.page, caller);
    assert.equal(await caller.bye(), 200);
    caller.close();
  },

  "presses keys that reach the caller": async (world) => {
    const { page } = world;
    const caller = await talk(world, { keys: true });
    await page.evaluate(() => phone.press("5"));
    await until("the key at the caller", 3_000, () => caller.keys === "5");
    if (await page.evaluate(() => Boolean(phone.pressInSound))) {
      await page.evaluate(() => phone.pressInSound("#"));
      await until("the key in sound at the caller", 3_000, () => caller.keys === "5#");
    }
    await hear(page, caller);
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

  "another network: new names for ICE in the call, and sound goes on": async (world) => {
    const { page } = world;
    const caller = await talk(world);
    await hear(page, caller);
    const name = () => page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(phone.connection().localDescription.sdp)[1]);
    const before = await name();
    await page.evaluate(() => phone.anew());
    await hear(page, caller);
    assert.notEqual(await name(), before);
    assert.equal(await caller.bye(), 200);
    caller.close();
  },

  "is rung with another, who answers first: it stops ringing": async ({ server, page }) => {
    await page.evaluate(() => phone.fresh());
    const callee = await Callee.open(CARRIER, OTHER);
    const caller = await Caller.open(CARRIER, server.sip);
    const invited = caller.invite("702");
    await Promise.all([said(page, "incoming"), callee.rung()]);
    const asked = callee.wall();
    callee.answer();
    assert.equal(await invited, 200);
    const over = await ended(page);
    within(500, over - asked, "from the other's answer to the page's end");
    await Promise.all([caller.hears(OTHER), callee.hears(440)]);
    await leave(caller, callee);
  },

  "calls, hears what comes before the answer, and is answered": async ({ page }) => {
    await page.evaluate(() => phone.fresh());
    const callee = await Callee.open(CARRIER, OTHER);
    await page.evaluate((to) => { phone.call(to, 1_000); }, NUMBER);
    assert.equal(await callee.rung(), NUMBER);
    callee.sounds();
    await until("where it comes from", 5_000, () => page.evaluate(() => phone.connection()?.remoteDescription));
    await page.evaluate((hz) => phone.listen(hz), OTHER);
    await heard(page);
    assert.ok(!(await page.evaluate(() => phone.events.includes("confirmed"))), "it is not answered yet");
    callee.answer();
    await said(page, "confirmed");
    await hear(page, callee);
    await page.evaluate(hangUp);
    await callee.hungUp();
    callee.close();
  },

  "calls, and takes it back before the answer": async ({ page }) => {
    await page.evaluate(() => phone.fresh());
    const callee = await Callee.open(CARRIER, OTHER);
    await page.evaluate((to) => { phone.call(to, 1_000); }, NUMBER);
    await callee.rung();
    const asked = await page.evaluate(hangUp);
    within(500, (await callee.takenBack()) - asked, "from the page's button to the callee's CANCEL");
    await ended(page);
    callee.close();
  },
};

/** What one client can do and the others cannot. */
export const OWN = {
  telnyx: {
    "is reloaded in a call: sound is back within 2 s, and the caller was never let go": async (world) => {
      const caller = await talk(world);
      await hear(world.page, caller);
      const from = Math.floor(caller.heard.length / 160);
      await reload(world);
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

async function reload({ page, server }) {
  await page.reload();
  await page.waitForFunction(() => globalThis.phone);
  await page.evaluate((to) => phone.register(to, "anna", "secret-anna"), server.url);
}

/** As a phone with a headset's switch it goes on sending, and so do we: packets a second from the page, and at the caller. */
async function goesOn(page, caller) {
  const sent = () => page.evaluate(async () => {
    const stats = await phone.connection().getStats();
    return [...stats.values()].find((it) => it.type === "outbound-rtp").packetsSent;
  });
  const [before, received, began] = [await sent(), caller.received, performance.now()];
  await pause(2_000);
  const rates = [await sent() - before, caller.received - received].map((it) => (1_000 * it) / (performance.now() - began));
  const told = rates.map((it) => it.toFixed(1)).join(" from the page and ");
  figures.push(`  mute: ${told} at the caller, packets a second`);
  for (const rate of rates) assert.ok(rate > 45 && rate < 55, `${told} packets a second while mute, want 50`);
}

/** The page's clock when it was asked. */
const hangUp = () => {
  const at = performance.timeOrigin + performance.now();
  phone.hangUp();
  return at;
};

/** A call from the carrier that the page has answered. */
export async function talk({ server, page }, options) {
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

/** The first hangs up, which ends it for the second. */
export async function leave(first, second) {
  assert.equal(await first.bye(), 200);
  await second.hungUp();
  for (const line of [first, second]) line.close();
}

// A browser's phone hands its caller on, by sound at all three ends.

import assert from "node:assert/strict";
import { Callee, NUMBER, OTHER } from "./callee.mjs";
import { leave, talk } from "./calls.mjs";
import { CARRIER, until } from "./server.mjs";
import { both, hear, heard, said } from "./stage.mjs";

const NO_WORD = "left out: it has no word for transfers";

export const STEPS = {
  "hands the caller on: he hears whom he is handed to, the page is free": async (world) => {
    const { page } = world;
    if (!(await can(page))) return NO_WORD;
    const caller = await talk(world);
    const callee = await Callee.open(CARRIER, OTHER);
    await page.evaluate((to) => phone.refer(to), NUMBER);
    assert.equal(await callee.rung(), NUMBER);
    callee.answer();
    await Promise.all([caller.hears(OTHER), callee.hears(440)]);
    await free(page);
    assert.equal(await outcome(page), "referred 200");
    await leave(callee, caller);
  },

  "hands the caller on to one who is busy: that is told, and they hear each other again": async (world) => {
    const { page } = world;
    if (!(await can(page))) return NO_WORD;
    const caller = await talk(world);
    const callee = await Callee.open(CARRIER, OTHER);
    await page.evaluate((to) => phone.refer(to), NUMBER);
    await callee.rung();
    callee.refuse(486);
    await said(page, "referred 486");
    await hear(page, caller);
    callee.close();
    await end(page, caller);
  },

  "consults, swaps there and back, drops it: the caller is back": async (world) => {
    const { page } = world;
    const { caller, callee } = await consult(world);
    await swap(page, 1, 0, 440);
    await Promise.all([caller.hears(1_000), callee.hearsNo(1_000), heard(page)]);
    await swap(page, 0, 1, OTHER);
    await Promise.all([callee.hears(1_000), caller.hearsNo(1_000), heard(page)]);
    await page.evaluate(() => phone.hangUp());
    await callee.hungUp();
    callee.close();
    await page.evaluate(async () => {
      phone.use(0);
      await phone.hold(false);
      await phone.listen(440);
    });
    await hear(page, caller);
    await end(page, caller);
  },

  "consults and completes: both others hear each other, the page is free": async (world) => {
    const { page } = world;
    if (!(await can(page))) return NO_WORD;
    const { caller, callee } = await consult(world);
    await page.evaluate(() => {
      phone.use(0);
      phone.join(1);
    });
    await Promise.all([caller.hears(OTHER), callee.hears(440)]);
    await free(page);
    assert.equal(await outcome(page), "referred 200");
    await leave(callee, caller);
  },
};

const can = (page) => page.evaluate(() => Boolean(phone.refer));

/** The caller is held, and the page talks to somebody else. */
async function consult(world) {
  const { page } = world;
  const caller = await talk(world);
  const callee = await Callee.open(CARRIER, OTHER);
  await page.evaluate(() => phone.hold(true));
  await caller.hearsNo(1_000);
  await page.evaluate((to) => {
    phone.events.length = 0;
    phone.call(to, 1_000);
  }, NUMBER);
  assert.equal(await callee.rung(), NUMBER);
  callee.answer();
  await said(page, "confirmed");
  await page.evaluate((hz) => phone.listen(hz), OTHER);
  await both(page, callee);
  await caller.hearsNo(1_000);
  return { caller, callee };
}

/** Holds one call and takes the other up again, where `hz` is to be heard. */
const swap = (page, from, to, hz) => page.evaluate(async ([from, to, hz]) => {
  phone.use(from);
  await phone.hold(true);
  phone.use(to);
  await phone.hold(false);
  await phone.listen(hz);
}, [from, to, hz]);

/** Until no call of the page stands. */
const free = (page) => until("the end of the page's calls", 5_000, () => page.evaluate(() => phone.standing() === 0));

/** What the page was told last of its transfer. */
const outcome = (page) => page.evaluate(() => phone.events.findLast((it) => it.startsWith("referred")));

async function end(page, caller) {
  assert.equal(await caller.bye(), 200);
  caller.close();
  await free(page);
}

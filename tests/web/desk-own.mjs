// What a desk calls, and what it hands on that does not come about.

import assert from "node:assert/strict";
import { Callee, NUMBER, OTHER } from "./callee.mjs";
import { ANNA, consult, end, talk } from "./desk-agent.mjs";
import { CARRIER } from "./server.mjs";
import { hear, heard, within } from "./stage.mjs";

/** The desk hangs its only call up. */
async function hangUp(agent) {
  await agent.press("Hang up");
  await agent.rest();
}

/** What is played is not as loud as what people say in these tests. */
async function hearsPlayed({ page }) {
  await page.evaluate(() => test.listen(440));
  await heard(page);
}

export const STEPS = {
  "AD-06: calls a number, and hears what is played there": async ({ anna }) => {
    await anna.dial("600");
    await anna.see("call", "Talking");
    await hearsPlayed(anna);
    await hangUp(anna);
  },

  "AD-06: presses a key for a menu": async ({ anna }) => {
    await anna.dial("601");
    await anna.see("call", "Talking");
    await anna.press("Keypad");
    await anna.press("Key 5");
    await hearsPlayed(anna);
    await hangUp(anna);
  },

  "AD-06: hears what comes before the answer, and is answered": async ({ anna }) => {
    const callee = await Callee.open(CARRIER, OTHER);
    await anna.dial(NUMBER);
    assert.equal(await callee.rung(), NUMBER);
    await anna.see("call", "It rings there");
    callee.sounds();
    await anna.hears(OTHER);
    await anna.see("call", "Dialling");
    callee.answer();
    await anna.see("call", "Talking");
    await hear(anna.page, callee);
    await anna.press("Hang up");
    await callee.hungUp();
    callee.close();
    await anna.rest();
  },

  "AD-06: takes a call back before it is answered": async ({ anna }) => {
    const callee = await Callee.open(CARRIER, OTHER);
    await anna.dial(NUMBER);
    await callee.rung();
    await anna.see("call", "It rings there");
    const asked = await anna.pressAt("Hang up");
    within(500, (await callee.takenBack()) - asked, "from the desk's button to the callee's CANCEL");
    callee.close();
    await anna.part("call").waitFor({ state: "detached" });
  },

  "AD-06: a transfer that fails is told, and the call is still here": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    const callee = await Callee.open(CARRIER, OTHER);
    await anna.press("Transfer");
    await anna.page.getByLabel("Transfer to").fill(NUMBER);
    await anna.press("Transfer now");
    await callee.rung();
    callee.refuse(486);
    await anna.see("call", "The transfer failed; the call is still here.");
    callee.close();
    await caller.hears(ANNA);
    await anna.hears(440);
    await end(world, caller);
  },

  "AD-06: attended transfer: drops the consultation, and the first is back": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await consult(world);
    await anna.press("End consultation");
    await caller.hears(ANNA);
    await anna.part("call").filter({ hasText: "Consultation" }).waitFor({ state: "detached" });
    await ben.rest();
    await end(world, caller);
  },
};

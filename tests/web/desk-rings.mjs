// What rings at a desk, and who gets it.

import assert from "node:assert/strict";
import { Caller } from "./caller.mjs";
import { ANNA, BEN, end } from "./desk-agent.mjs";
import { CARRIER } from "./server.mjs";
import { Sipp } from "./sipp.mjs";
import { hear, pause, within } from "./stage.mjs";

const CALLER = "+441234567";

/** A call to that number, of which nothing is answered yet. */
async function calls(server, number) {
  const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
  return { caller, invited: caller.invite(number) };
}

export const STEPS = {
  "AD-05, AD-06: SIPp rings, is picked up by the button; 440 Hz one way, 1 kHz the other": async ({ stage, server, anna }) => {
    const sipp = await Sipp.call(stage, CARRIER, server.sip, "701", 440);
    await anna.see("ring", CALLER);
    await anna.answer();
    await anna.page.evaluate(() => test.listen(440));
    await hear(anna.page, sipp);
    const asked = await anna.pressAt("Hang up");
    within(200, (await sipp.hungUp()) - asked, "from the desk's button to SIPp's BYE");
    sipp.close();
    await anna.rest();
  },

  "AD-05: declines, and the caller is told": async ({ server, ben }) => {
    const { caller, invited } = await calls(server, "800");
    await ben.see("ring", CALLER);
    await ben.press("Decline");
    assert.ok((await invited) >= 400);
    caller.close();
    await ben.part("ring").waitFor({ state: "detached" });
  },

  "AD-05: another agent answers: it stops ringing, and says so": async (world) => {
    const { server, anna, ben } = world;
    const { caller, invited } = await calls(server, "702");
    for (const agent of [anna, ben]) await agent.see("ring", CALLER);
    await ben.answer();
    await anna.part("ring").waitFor({ state: "detached" });
    await anna.see("notices", `Another agent took the call of ${CALLER}.`);
    assert.equal(await invited, 200);
    await caller.hears(BEN);
    await ben.hears(440);
    assert.equal(await caller.bye(), 200);
    caller.close();
    await ben.rest();
  },

  "AD-05: rings too long: that is said, and the call is among the missed ones": async (world) => {
    const { server, anna, ben } = world;
    await ben.press("Away");
    await ben.see("status", "Away");
    const { caller, invited } = await calls(server, "703");
    assert.equal(await invited, 200);
    await anna.see("ring", CALLER);
    await anna.part("ring").waitFor({ state: "detached" });
    await anna.see("notices", `The call of ${CALLER} rings here no more.`);
    await anna.see("missed", CALLER);
    assert.equal(await caller.bye(), 200);
    caller.close();
    for (const agent of [anna, ben]) {
      await agent.rest();
      await agent.part("queues", CALLER).waitFor({ state: "detached" });
    }
  },

  "AD-05: the caller gives up: that is said": async ({ server, ben }) => {
    const { caller, invited } = await calls(server, "800");
    await ben.see("ring", CALLER);
    caller.cancel();
    await ben.part("ring").waitFor({ state: "detached" });
    await ben.see("notices", `${CALLER} hung up before you answered.`);
    assert.equal(await invited, 487);
    caller.close();
  },

  "AD-07: who is slower at taking one is told": async (world) => {
    const { server, anna, ben } = world;
    for (const agent of [anna, ben]) await agent.press("Away");
    for (const agent of [anna, ben]) await agent.see("status", "Away");
    const { caller, invited } = await calls(server, "703");
    assert.equal(await invited, 200);
    for (const agent of [anna, ben]) await agent.see("queues", CALLER);
    await anna.press(`Take ${CALLER}`);
    await anna.see("ring", CALLER);
    await ben.press(`Take ${CALLER}`);
    await ben.see("notices", "Another agent was faster.");
    await anna.answer();
    await caller.hears(ANNA);
    await end(world, caller);
    await ben.rest();
  },

  "AD-16: the page is reloaded while it rings: it rings again, and is answered": async (world) => {
    const { server, anna } = world;
    const { caller, invited } = await calls(server, "700");
    assert.equal(await invited, 200);
    await pause(300);
    caller.press("1");
    await anna.see("ring", CALLER);
    await anna.page.reload();
    await anna.answer();
    await caller.hears(ANNA);
    await anna.hears(440);
    await end(world, caller);
  },
};

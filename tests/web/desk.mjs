// The agent's desk of the server that was just built, with carriers' callers: who rings, who hears whom, and what
// each button does to the sound at the far end.
//
//   node tests/web/desk.mjs BINARY [WORD…]         only the tests whose names have one of the words
//
// The binary must have the desk in it (make desk, then cargo build). Everything is on loopback.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { Caller } from "./caller.mjs";
import { CARRIER, until } from "./server.mjs";
import { Agent, ANNA, BEN, consult, end, talk } from "./desk-agent.mjs";
import { STEPS as ENTRY } from "./desk-entry.mjs";
import { STEPS as OWN } from "./desk-own.mjs";
import { STEPS as RINGS } from "./desk-rings.mjs";
import { STEPS as TAPE } from "./desk-tape.mjs";
import { binary, hear, onStage, pause, within, words } from "./stage.mjs";

const STEPS = {
  "AD-05, AD-06: rings with its context, picked up by the button; 440 Hz one way, 1 kHz the other": async (world) => {
    const { server, anna } = world;
    const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
    assert.equal(await caller.invite("700"), 200);
    await pause(300);
    caller.press("1");
    await anna.see("ring", "+441234567");
    await anna.see("ring", "sales");
    await anna.answer();
    await anna.page.evaluate((hz) => test.listen(hz), 440);
    await hear(anna.page, caller);
    const asked = await anna.pressAt("Hang up");
    await caller.hungUp();
    within(200, caller.endedAt() - asked, "from the desk's button to the caller's BYE");
    caller.close();
    await anna.rest();
  },

  "AD-06: the caller hangs up": async (world) => {
    const caller = await talk(world);
    const over = world.anna.page.evaluate(() => new Promise((resolve) => {
      new MutationObserver((_, it) => {
        if (document.querySelector('[data-test="call"]')) return;
        it.disconnect();
        resolve(performance.timeOrigin + performance.now());
      }).observe(document.body, { childList: true, subtree: true });
    }));
    const asked = caller.wall();
    assert.equal(await caller.bye(), 200);
    within(200, (await over) - asked, "from the caller's BYE to the desk's sight");
    caller.close();
    await world.anna.rest();
  },

  "AD-06: mute, and hold with resume": async (world) => {
    const caller = await talk(world);
    for (const [does, undoes] of [["Mute", "Unmute"], ["Hold", "Resume"]]) {
      await world.anna.press(does);
      await caller.hearsNo(ANNA);
      await world.anna.press(undoes);
      await caller.hears(ANNA);
      await world.anna.hears(440);
    }
    await end(world, caller);
  },

  "AD-06: keys reach the caller": async (world) => {
    const caller = await talk(world);
    await world.anna.press("Keypad");
    for (const key of "5#") await world.anna.press(`Key ${key}`);
    await until("5# at the caller", 5_000, () => caller.keys === "5#");
    await end(world, caller);
  },

  "AD-06: blind transfer: the caller hears whom he is handed to, the desk is free": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await anna.press("Transfer");
    await anna.page.getByLabel("Transfer to").fill("ben");
    await anna.press("Transfer now");
    await ben.answer();
    await caller.hears(BEN);
    await ben.hears(440);
    await anna.rest();
    assert.equal(await caller.bye(), 200);
    caller.close();
    await ben.rest();
  },

  "AD-06: attended transfer: consults, swaps, completes": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await consult(world);
    await caller.hearsNo(ANNA);
    await anna.press("Swap");
    await caller.hears(ANNA);
    await anna.press("Swap");
    await caller.hearsNo(ANNA);
    await anna.press("Complete transfer");
    await caller.hears(BEN);
    await ben.hears(440);
    await anna.rest();
    await ben.press("Hang up");
    await caller.hungUp();
    caller.close();
    await ben.rest();
  },

  "AD-06: merge to three: each hears both others": async (world) => {
    const { anna, ben } = world;
    const caller = await talk(world);
    await consult(world);
    await anna.press("Merge");
    for (const hz of [ANNA, BEN]) await caller.hears(hz);
    for (const hz of [440, ANNA]) await ben.hears(hz);
    assert.equal(await caller.bye(), 200);
    caller.close();
    const cards = anna.page.locator('[data-test="call"]');
    await until("the caller's end at the desk", 5_000, async () => (await cards.count()) === 1);
    await anna.press("Hang up");
    for (const agent of [anna, ben]) await agent.rest();
  },

  "AD-02: asked for in a call, a break comes after it": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.press("Break");
    await anna.see("status", "then: Break");
    assert.equal(await caller.bye(), 200);
    caller.close();
    await anna.see("wrap-up");
    await anna.press("Done", anna.part("wrap-up"));
    await anna.see("status", "Break");
    await anna.rest();
  },

  "AD-07: one who waits is taken out of turn": async (world) => {
    const { server, anna, ben } = world;
    for (const agent of [anna, ben]) await agent.press("Away");
    for (const agent of [anna, ben]) await agent.see("status", "Away");
    const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
    assert.equal(await caller.invite("700"), 200);
    await pause(300);
    caller.press("1");
    await anna.see("queues", "+441234567");
    await anna.press("Take +441234567");
    await anna.answer();
    await caller.hears(ANNA);
    await end(world, caller);
    await ben.rest();
  },

  "AD-16: a reload in the call: sound both ways within 2 s, the caller never dropped": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    const watched = caller.longestWithout(ANNA, 5_000);
    await anna.page.reload({ waitUntil: "commit" });
    within(2_000, await watched, "without sound at the caller");
    await anna.hears(440);
    await anna.see("call", "Talking");
    assert.equal(caller.ended, null);
    await end(world, caller);
  },

  "AD-16: another network: new names for ICE, and sound goes on": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.context.setOffline(true);
    await anna.context.setOffline(false);
    await caller.hears(ANNA);
    await anna.hears(440);
    await anna.see("call", "Talking");
    await end(world, caller);
  },

  "AD-17: a badge, and a warning when nothing of the agent reaches the server": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    await anna.see("quality", "Quality");
    // In the page: who asks from outside looks each half second only.
    const took = await anna.page.evaluate(async () => {
      const [sender] = test.connections.at(-1).getSenders();
      globalThis.kept = sender.track;
      await sender.replaceTrack(null);
      const began = performance.now();
      const isWarned = () => document.querySelector("[data-test=unheard]") !== null;
      while (!isWarned()) await new Promise((resolve) => setTimeout(resolve, 5));
      return performance.now() - began;
    });
    within(2_000, took, "from the last packet to the warning");
    await anna.page.evaluate(() => test.connections.at(-1).getSenders()[0].replaceTrack(globalThis.kept));
    await anna.part("unheard").waitFor({ state: "detached" });
    await end(world, caller);
  },

  "AD-10: note and outcome are kept with the call": async (world) => {
    const { server, anna } = world;
    const caller = await talk(world);
    await anna.page.getByLabel("Note").fill("wants a ship");
    await anna.page.getByLabel("sold").check();
    await end(world, caller);
    await until("the record", 5_000, async () => JSON.stringify(await server.get("/v1/cdrs")).includes("wants a ship"));
  },
};

/** The agent's password as the configuration keeps it. */
function hashed(password) {
  const made = spawnSync(binary, ["hash-password"], { input: `${password}\n`, encoding: "utf8" });
  const hash = /\$argon2id\$\S+/.exec(made.stdout)?.[0];
  return hash ? `password_hash = "${hash}"` : "";
}

const settings = () => `
[desk]
break_reasons = ["lunch"]
dispositions = ["sold", "later"]
[endpoints.ben]
password = "secret-ben"
[endpoints.cleo]
password = "secret-cleo"
[agents.anna]
${hashed("secret-anna")}
[agents.ben]
${hashed("secret-ben")}
[agents.cleo]
${hashed("secret-cleo")}
`;

const PLAN = `dialplan version=1

entry did="600" flow="tone"
entry did="601" flow="keys"
entry did="700" flow="menu"
entry did="701" flow="straight"
entry did="702" flow="either"
entry did="703" flow="help"
entry pattern="+4930*" flow="out"
entry pattern="*" flow="agent"

queue "sales" ring-timeout="20s" wrap-up="30s" max-wait="5m" {
  agents "anna"
}

queue "help" ring-timeout="5s" max-wait="5m" {
  agents "anna" "ben"
}

menu "menu" {
  gather timeout="10s"
  on "1" {
    queue "sales"
    hangup
  }
  on timeout max=2 {
    hangup
  }
}

menu "keys" {
  gather timeout="10s"
  on "5" {
    goto "tone"
  }
  on timeout max=2 {
    hangup
  }
}

flow "straight" {
  queue "sales"
}

flow "help" {
  queue "help"
}

flow "either" {
  dial "anna" "ben" timeout="20s"
}

flow "agent" {
  dial "ben" timeout="20s"
}

flow "out" {
  transfer "{to}" trunk="carrier"
}

flow "tone" {
  answer
  play "tone.wav"
  hangup
}
`;

await onStage("the desk with the server", "e2e-desk-real", async (stage) => {
  await stage.bundle(["desk-page"], "iife");
  const server = await stage.server({ plan: PLAN, settings: settings() });
  const browser = await stage.browser();
  const anna = await Agent.open({ stage, browser, server }, "anna", ANNA);
  const ben = await Agent.open({ stage, browser, server }, "ben", BEN);
  const wanted = ([name]) => words.length === 0 || words.some((it) => name.includes(it));
  const steps = Object.fromEntries(Object.entries({ ...ENTRY, ...STEPS, ...RINGS, ...OWN, ...TAPE }).filter(wanted));
  const failed = (name) => stage.picture(anna.page, name);
  await stage.steps({ stage, browser, server, anna, ben }, steps, { title: "desk with the server", failed });
});

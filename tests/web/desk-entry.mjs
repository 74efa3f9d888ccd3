// How an agent comes to his desk, what he says that he does, and what puts him out.

import assert from "node:assert/strict";
import { Agent, ANNA, end, talk } from "./desk-agent.mjs";
import { until } from "./server.mjs";
import { within } from "./stage.mjs";

/** What the server says of an agent. */
const agent = async (server, name) => (await server.get("/v1/agents")).find((it) => it.name === name);

export const STEPS = {
  "AD-01: a wrong password is told, and nothing is opened": async (world) => {
    const cleo = await Agent.arrive(world, "cleo", ANNA);
    await cleo.logIn("guess");
    await cleo.page.getByRole("alert").getByText("Name or password is wrong.").waitFor();
    assert.equal(await cleo.page.evaluate(() => test.sockets.length), 0);
    await cleo.leave();
    assert.deepEqual(await world.server.contacts("cleo"), []);
  },

  "AD-01: is in by a token, and put out when that is logged out elsewhere": async (world) => {
    const cleo = await Agent.open(world, "cleo", ANNA);
    const { token } = cleo.asked.find((it) => it.type === "login");
    assert.equal((await world.server.contacts("cleo")).length, 1);
    const asked = performance.now();
    await world.server.logOut(token);
    await cleo.page.getByLabel("Password").waitFor();
    within(5_000, performance.now() - asked, "from the log-out to the desk's log-in page");
    assert.deepEqual(await world.server.contacts("cleo"), []);
    await cleo.page.reload();
    await cleo.page.getByLabel("Password").waitFor();
    await cleo.leave();
  },

  "AD-02: available, break with its reason, training, away": async ({ server, anna }) => {
    for (const [button, shown] of [["Break", "Break: lunch"], ["Training"], ["Away"], ["Available"]]) {
      await anna.press(button);
      await anna.see("status", shown ?? button);
      const { state, reason } = await agent(server, "anna");
      assert.equal(state, button.toLowerCase());
      if (button === "Break") assert.equal(reason, "lunch");
    }
  },

  "AD-11: wrap-up is shown, made longer and ended": async (world) => {
    const { server, anna } = world;
    const caller = await talk(world);
    assert.equal(await caller.bye(), 200);
    caller.close();
    await anna.see("status", "Wrap-up");
    const before = (await agent(server, "anna")).left_secs;
    assert.ok(before > 0 && before <= 30, `${before} s of wrap-up left`);
    await anna.press("More time");
    await until("a minute more", 3_000, async () => (await agent(server, "anna")).left_secs > before + 50);
    await anna.press("Done", anna.page.getByRole("banner"));
    await anna.see("status", "Available");
    await anna.rest();
  },

  "AD-16: the socket is lost: it is there again by another, and is rung there": async (world) => {
    const { server, anna } = world;
    const sockets = await anna.page.evaluate(() => test.sockets.length);
    await anna.page.evaluate(() => test.cut());
    await anna.page.getByText("No connection. Trying again …").waitFor();
    await anna.page.getByText("No connection. Trying again …").waitFor({ state: "detached" });
    assert.equal(await anna.page.evaluate(() => test.sockets.length), sockets + 1);
    assert.equal((await server.contacts("anna")).length, 1);
    await end(world, await talk(world));
  },

  "AD-16: the socket is lost in a call: sound goes on, and the buttons are back": async (world) => {
    const { anna } = world;
    const caller = await talk(world);
    const watched = caller.longestWithout(ANNA, 4_000);
    await anna.page.evaluate(() => test.cut());
    within(500, await watched, "without sound at the caller");
    await anna.see("call", "Talking");
    await anna.hears(440);
    await caller.hears(ANNA);
    await anna.press("Hang up");
    await caller.hungUp();
    caller.close();
    await anna.rest();
  },
};

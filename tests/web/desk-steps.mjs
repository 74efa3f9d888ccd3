// What each button asks, and what is shown. Names begin with the feature's id (AD-xx).

import assert from "node:assert/strict";
import { axe } from "./desk-axe.mjs";
import { CALLER } from "./desk-world.mjs";

const shortcut = (page, letter) => page.keyboard.press(`Alt+Shift+Key${letter}`);

/** Consultation of Ben about a held caller. */
async function consult(world) {
  const first = await world.talk();
  await world.press("Transfer", first);
  await first.getByLabel("Transfer to").fill("ben");
  await world.press("Consult first", first);
  assert.deepEqual(await world.mock.next("hold"), { type: "hold", call: "c1", on: true });
  const dial = await world.mock.next("dial");
  await world.pickUp(dial);
  const card = world.part("call").filter({ hasText: "Call to ben" });
  await card.getByText("Talking").waitFor();
  return { first, card, call: dial.call };
}

export const STEPS = {
  "AD-01: logs in by name and password": async (world) => {
    const login = await world.logIn();
    assert.deepEqual(login, { type: "login", token: "token-anna" });
    await world.see("status", "Available");
    await world.page.getByText("Anna Berg").waitFor();
  },

  "AD-01: a wrong password is told, and nothing is opened": async (world) => {
    await world.page.getByLabel("Name").fill("anna");
    await world.page.getByLabel("Password").fill("guess");
    await world.press("Log in");
    await world.page.getByRole("alert").getByText("Name or password is wrong.").waitFor();
    assert.equal(world.mock.socket, null);
  },

  "AD-01: logs out, and a reload does not bring it back": async (world) => {
    await world.logIn();
    await world.press("Log out");
    await world.mock.next("log_out");
    await world.page.getByLabel("Password").waitFor();
    await world.page.reload();
    await world.page.getByLabel("Password").waitFor();
  },

  "AD-02: available, break with its reason, training, away": async (world) => {
    await world.logIn();
    await world.press("Break");
    assert.deepEqual(await world.mock.next("status"), { type: "status", want: "break", reason: "Lunch" });
    world.mock.say({ type: "status", state: "break", reason: "Lunch", since_ms: 61_000 });
    await world.see("status", "Break: Lunch");
    await world.see("status-time", "1:0");
    await world.page.getByLabel("Reason", { exact: true }).selectOption("Doctor");
    await world.press("Break");
    assert.equal((await world.mock.next("status")).reason, "Doctor");
    for (const [button, want] of [["Training", "training"], ["Away", "away"], ["Available", "available"]]) {
      await world.press(button);
      assert.deepEqual(await world.mock.next("status"), { type: "status", want });
      world.mock.say({ type: "status", state: want, since_ms: 0 });
      await world.see("status", button);
    }
  },

  "AD-02: the status after a call is asked for in it, and shown": async (world) => {
    await world.logIn();
    await world.talk();
    world.mock.say({ type: "status", state: "busy", since_ms: 0 });
    await world.press("Training");
    await world.mock.next("status");
    world.mock.say({ type: "status", state: "busy", since_ms: 0, next: "training" });
    await world.see("status", "In a call, then: Training");
  },

  "AD-04: microphone, speaker and bell are chosen, and kept": async (world) => {
    await world.logIn();
    await world.press("Settings");
    for (const [label, choice] of [["Microphone", "Desk microphone"], ["Speaker", "Loudspeaker"], ["Bell", "Loudspeaker"]]) {
      await world.page.getByLabel(label, { exact: true }).selectOption({ label: choice });
    }
    await world.page.getByLabel("Take out echo and noise").uncheck();
    await world.page.reload();
    await world.press("Settings");
    assert.equal(await world.page.getByLabel("Microphone", { exact: true }).inputValue(), "mic-b");
    assert.equal(await world.page.getByLabel("Speaker", { exact: true }).inputValue(), "ear-b");
    await world.until("the microphone", () => world.page.evaluate(() => test.opened.length > 0));
    const { id, audio } = await world.page.evaluate(() => {
      const { id, audio } = test.opened.at(-1);
      return { id, audio };
    });
    assert.deepEqual([id, audio.echoCancellation, audio.noiseSuppression], ["mic-b", false, false]);
  },

  "AD-04: the meter shows the microphone's level, and closing lets it go": async (world) => {
    await world.logIn();
    await world.press("Settings");
    const meter = world.page.getByLabel("Microphone level");
    // A tone of -9 dB RMS.
    await world.until("the level", async () => Math.abs((await meter.evaluate((it) => it.value)) - 0.85) < 0.02);
    await world.press("Close");
    await world.until("the end of the microphone", () =>
      world.page.evaluate(() => test.opened.every(({ tracks }) => tracks.every((it) => it.readyState === "ended"))));
  },

  "AD-04: the echo test comes back by the chosen speaker": async (world) => {
    await world.logIn();
    await world.press("Settings");
    await world.page.getByLabel("Speaker", { exact: true }).selectOption({ label: "Loudspeaker" });
    const began = performance.now();
    await world.press("Echo test");
    const meter = world.page.getByLabel("Echo level");
    await world.until("the echo", async () => (await meter.evaluate((it) => it.value)) > 0.8);
    assert.ok(performance.now() - began > 900, "a second late");
    assert.equal(await world.page.evaluate(() => test.sinks.at(-1)), "ear-b");
    await world.press("Stop echo test");
    await meter.waitFor({ state: "detached" });
  },

  "AD-04: the bell is tried by its own device": async (world) => {
    await world.logIn();
    await world.press("Settings");
    await world.page.getByLabel("Bell", { exact: true }).selectOption({ label: "Loudspeaker" });
    await world.press("Ring the bell");
    assert.equal(await world.page.evaluate(() => test.sinks.at(-1)), "ear-b");
  },

  "AD-05: the ring shows caller, queue, wait so far, menu path and attributes": async (world) => {
    await world.logIn();
    await world.ring("c1", { queue: "sales", waited_ms: 65_000, path: ["main", "buy"], attributes: { tier: "gold" }, timeout_ms: 20_000 });
    for (const text of ["Call from Max Power", "+49301234", "sales", "1:0", "main › buy", "tier", "gold", "Rings for 0:"]) {
      await world.see("ring", text);
    }
    assert.match(await world.page.title(), /Max Power/);
  },

  "AD-05: declines with a reason": async (world) => {
    await world.logIn();
    await world.ring();
    await world.page.getByLabel("Reason for declining").selectOption("wrong_queue");
    await world.press("Decline");
    assert.deepEqual(await world.mock.next("decline"), { type: "decline", call: "c1", reason: "wrong_queue" });
    world.mock.say({ type: "ended", call: "c1", by: "us" });
    await world.gone("ring");
  },

  "AD-05: stops ringing when another agent answers, and says so": async (world) => {
    await world.logIn();
    await world.ring();
    world.mock.say({ type: "ended", call: "c1", by: "other-agent" });
    await world.gone("ring");
    await world.see("notices", "Another agent took the call of Max Power.");
  },

  "AD-05: a system notification tells of the ring and goes with it": async (world) => {
    await world.page.evaluate(() => localStorage.setItem("tandem-desk-page", JSON.stringify({ notifications: true })));
    await world.page.reload();
    await world.page.evaluate(() => { document.hasFocus = () => false; });
    await world.logIn();
    await world.ring("c1", { queue: "sales" });
    const [told] = await world.page.evaluate(() => test.notified);
    assert.deepEqual([told.title, told.body], ["Call from Max Power", "sales · Max Power"]);
    world.mock.say({ type: "ended", call: "c1", by: "caller" });
    await world.until("its end", () => world.page.evaluate(() => test.notified[0].closed));
  },

  "AD-06: hangs up": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.press("Hang up", card);
    assert.deepEqual(await world.mock.next("hang_up"), { type: "hang_up", call: "c1" });
    world.mock.say({ type: "ended", call: "c1", by: "us" });
    await world.gone("call");
    await world.see("wrap-up", "After the call with Max Power");
    // Sound and microphone are let go.
    await world.until("the end of the microphone", () => world.page.evaluate(() =>
      test.opened.every(({ tracks }) => tracks.every((it) => it.readyState === "ended")) &&
      test.connections.every((it) => it.connectionState === "closed")));
  },

  "AD-06: the caller hangs up": async (world) => {
    await world.logIn();
    await world.talk();
    world.mock.say({ type: "ended", call: "c1", by: "caller", cause: "normal" });
    await world.see("wrap-up", "The caller hung up");
  },

  "AD-06: keys by the pad and by the keyboard": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.press("Keypad", card);
    await card.getByRole("button", { name: "Key 5" }).click();
    assert.deepEqual(await world.mock.next("key"), { type: "key", call: "c1", digit: "5" });
    await world.page.keyboard.press("#");
    assert.equal((await world.mock.next("key")).digit, "#");
    await card.getByText("5#").waitFor();
  },

  "AD-06: blind transfer": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.press("Transfer", card);
    await card.getByLabel("Transfer to").fill("support");
    await world.press("Transfer now", card);
    assert.deepEqual(await world.mock.next("transfer"), { type: "transfer", call: "c1", to: "support" });
    world.mock.say({ type: "transferred", call: "c1", state: "trying" });
    await card.getByText("Transferring …").waitFor();
    world.mock.say({ type: "transferred", call: "c1", state: "done" });
    world.mock.say({ type: "ended", call: "c1", by: "us" });
    await world.see("notices", "Max Power was transferred.");
    await world.gone("call");
  },

  "AD-06: a transfer that fails is told, and the call is still here": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.press("Transfer", card);
    await card.getByLabel("Transfer to").fill("nobody");
    await world.press("Transfer now", card);
    await world.mock.next("transfer");
    world.mock.say({ type: "transferred", call: "c1", state: "failed", status: 404 });
    await card.getByText("The transfer failed; the call is still here.").waitFor();
    await card.getByText("Talking").waitFor();
  },

  "AD-06: attended transfer: consults, completes": async (world) => {
    await world.logIn();
    const { first, card, call } = await consult(world);
    await first.getByText("On hold").waitFor();
    await card.getByText("Consultation", { exact: true }).waitFor();
    await world.press("Complete transfer", card);
    assert.deepEqual(await world.mock.next("complete"), { type: "complete", call: "c1", with: call });
    world.mock.say({ type: "ended", call, by: "us" });
    world.mock.say({ type: "ended", call: "c1", by: "us" });
    await world.gone("call");
    assert.equal(await world.part("wrap-up").count(), 1);
  },

  "AD-06: attended transfer: swaps there and back": async (world) => {
    await world.logIn();
    const { first, card, call } = await consult(world);
    await world.press("Swap", card);
    assert.deepEqual(await world.mock.next("hold"), { type: "hold", call, on: true });
    assert.deepEqual(await world.mock.next("hold"), { type: "hold", call: "c1", on: false });
    await card.getByText("On hold").waitFor();
    await world.press("Swap", card);
    assert.deepEqual(await world.mock.next("hold"), { type: "hold", call: "c1", on: true });
    assert.deepEqual(await world.mock.next("hold"), { type: "hold", call, on: false });
    await first.getByText("On hold").waitFor();
  },

  "AD-06: attended transfer: merges to three": async (world) => {
    await world.logIn();
    const { card, call } = await consult(world);
    await world.press("Merge", card);
    assert.deepEqual(await world.mock.next("merge"), { type: "merge", calls: ["c1", call] });
    world.mock.say({ type: "merged", calls: ["c1", call] });
    await world.see("notices", "All are in one conference.");
    await world.until("both in it", async () => (await world.page.getByText("Conference", { exact: true }).count()) === 2);
  },

  "AD-06: attended transfer: drops the consultation, and the first is back": async (world) => {
    await world.logIn();
    const { card, call } = await consult(world);
    await world.press("End consultation", card);
    assert.deepEqual(await world.mock.next("hang_up"), { type: "hang_up", call });
    world.mock.say({ type: "ended", call, by: "us" });
    await world.until("the first", async () => (await world.mock.next("hold")).on === false);
    await card.waitFor({ state: "detached" });
  },

  "AD-06: records, pauses, resumes and stops": async (world) => {
    await world.logIn();
    const card = await world.talk();
    for (const [button, does, state, shown] of [
      ["Record", "start", "recording", "Recording"],
      ["Pause recording", "pause", "paused", "Recording paused"],
      ["Resume recording", "resume", "recording", "Recording"],
    ]) {
      await world.press(button, card);
      assert.deepEqual(await world.mock.next("record"), { type: "record", call: "c1", do: does });
      world.mock.say({ type: "recording", call: "c1", state });
      await card.getByText(shown, { exact: true }).waitFor();
    }
    await world.press("Stop recording", card);
    assert.equal((await world.mock.next("record")).do, "stop");
    world.mock.say({ type: "recording", call: "c1", state: "stopped" });
    await card.getByRole("button", { name: "Record", exact: true }).waitFor();
  },

  "AD-06: calls a number, and takes back what cannot be called": async (world) => {
    await world.logIn();
    await world.page.getByLabel("Number or name").fill("700");
    await world.press("Call");
    const dial = await world.mock.next("dial");
    assert.equal(dial.to, "700");
    world.mock.say({ type: "progress", call: dial.call, state: "ringing" });
    await world.see("call", "It rings there");
    world.mock.say({ type: "ended", call: dial.call, by: "them", text: "busy" });
    await world.gone("call");
    await world.see("notices", "busy");
  },

  "AD-07: the queue shows place, wait and expected wait, and one is taken": async (world) => {
    await world.logIn();
    const waiting = [
      { waiting: "w1", position: 1, waited_ms: 61_000, caller: { name: "Eve" }, expected_ms: 90_000 },
      { waiting: "w2", position: 2, waited_ms: 5_000, caller: { number: "+4917" } },
    ];
    world.mock.say({ type: "queues", queues: [{ name: "sales", waiting, agents: { available: 2, busy: 1 }, longest_ms: 61_000 }] });
    for (const text of ["1Eve1:0", "≈ 1:30", "+4917", "Available 2, In a call 1"]) await world.see("queues", text);
    await world.press("Take Eve");
    assert.deepEqual(await world.mock.next("pick"), { type: "pick", queue: "sales", waiting: "w1" });
  },

  "AD-07: who is slower at taking one is told": async (world) => {
    await world.logIn();
    const waiting = [{ waiting: "w1", position: 1, waited_ms: 0, caller: { name: "Eve" } }];
    world.mock.say({ type: "queues", queues: [{ name: "sales", waiting, agents: {} }] });
    world.mock.answers.pick = { refuse: "pick-taken" };
    await world.press("Take Eve");
    await world.see("notices", "Another agent was faster.");
  },

  "AD-10: note and outcome go to the server, in the call and after it": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await card.getByLabel("Note").fill("wants a ship");
    assert.deepEqual(await world.mock.next("note"), { type: "note", call: "c1", text: "wants a ship" });
    world.mock.say({ type: "ended", call: "c1", by: "caller" });
    await world.see("wrap-up");
    assert.equal(await world.page.getByLabel("Note").inputValue(), "wants a ship");
    await world.page.getByLabel("Call again").check();
    assert.deepEqual(await world.mock.next("dispose"), { type: "dispose", call: "c1", code: "Call again" });
    await world.press("Done", world.part("wrap-up"));
    await world.gone("wrap-up");
  },

  "AD-11: wrap-up counts down, is extended and ended": async (world) => {
    await world.logIn();
    world.mock.say({ type: "status", state: "wrap_up", since_ms: 0, until_ms: 30_000 });
    await world.see("status", "Wrap-up");
    await world.see("status-time", "0:2");
    await world.press("More time");
    assert.deepEqual(await world.mock.next("wrap_up"), { type: "wrap_up", do: "extend" });
    world.mock.say({ type: "status", state: "wrap_up", since_ms: 5_000, until_ms: 60_000 });
    await world.see("status-time", "(0:5");
    await world.press("Done");
    assert.deepEqual(await world.mock.next("wrap_up"), { type: "wrap_up", do: "end" });
  },

  "AD-15: a whole call by the keyboard": async (world) => {
    await world.logIn();
    await world.ring();
    await shortcut(world.page, "A");
    const { sdp } = await world.mock.next("answer");
    await world.far.evaluate((sdp) => far.answered("c1", sdp), sdp);
    await world.see("call", "Talking");
    await shortcut(world.page, "M");
    await world.see("call", "Muted");
    await shortcut(world.page, "H");
    assert.equal((await world.mock.next("hold")).on, true);
    await world.see("call", "On hold");
    await shortcut(world.page, "H");
    assert.equal((await world.mock.next("hold")).on, false);
    await shortcut(world.page, "K");
    await world.page.keyboard.press("7");
    assert.equal((await world.mock.next("key")).digit, "7");
    await shortcut(world.page, "T");
    await world.page.keyboard.type("ben");
    await world.page.keyboard.press("Enter");
    assert.equal((await world.mock.next("transfer")).to, "ben");
    await shortcut(world.page, "N");
    await world.page.keyboard.type("done");
    assert.equal((await world.mock.next("note")).text, "done");
    await shortcut(world.page, "E");
    await world.mock.next("hang_up");
  },

  "AD-15: shortcuts are listed, and can be turned off": async (world) => {
    await world.logIn();
    await world.press("Keyboard shortcuts");
    await world.page.getByText("Alt + Shift + A").waitFor();
    await world.page.getByLabel("Use keyboard shortcuts").uncheck();
    await world.page.keyboard.press("Escape");
    await world.ring();
    await shortcut(world.page, "D");
    await assert.rejects(world.mock.next("decline", 300));
  },

  "AD-15: nothing serious for axe-core, in light and dark, in both languages": async (world) => {
    await axe(world, "the log-in");
    const waiting = [{ waiting: "w1", position: 1, waited_ms: 0, caller: { name: "Eve" }, expected_ms: 9_000 }];
    await world.logIn({
      queues: ["sales"],
      missed: [{ caller: CALLER, queue: "sales", ago_ms: 60_000 }],
    });
    const scenes = [
      ["at rest", async () => {
        world.mock.say({ type: "queues", queues: [{ name: "sales", waiting, agents: { available: 1 }, longest_ms: 4_000 }] });
        await world.see("queues", "Eve");
      }],
      ["ringing", () => world.ring("c1", { queue: "sales", waited_ms: 1_000, path: ["main"], attributes: { tier: "gold" } })],
      ["in a call", async () => {
        await world.press("Answer");
        const { sdp } = await world.mock.next("answer");
        await world.far.evaluate((sdp) => far.answered("c1", sdp), sdp);
        await world.see("call", "Talking");
        world.mock.say({ type: "recording", call: "c1", state: "recording" });
        world.mock.say({ type: "quality", call: "c1", mos: 3.6, loss: 0.02, jitter_ms: 9, unheard: true });
        await world.see("unheard");
        await world.press("Keypad");
      }],
      ["transferring", () => world.press("Transfer")],
      ["writing up", async () => {
        world.mock.say({ type: "ended", call: "c1", by: "caller" });
        world.mock.say({ type: "status", state: "wrap_up", since_ms: 0, until_ms: 30_000 });
        await world.see("wrap-up");
      }],
      ["the shortcuts", () => world.press("Keyboard shortcuts")],
      ["the settings", async () => { await world.press("Close"); await world.press("Settings"); }],
      ["the settings in German", () => world.page.getByLabel("Language").selectOption("de")],
    ];
    for (const [scene, make] of scenes) {
      await make();
      for (const colorScheme of ["light", "dark"]) {
        await world.page.emulateMedia({ colorScheme });
        await axe(world, `${scene}, ${colorScheme}`);
      }
    }
  },

  "AD-15: dark and light by the system or by choice": async (world) => {
    await world.logIn();
    const ground = () => world.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await world.page.emulateMedia({ colorScheme: "light" });
    const light = await ground();
    await world.page.emulateMedia({ colorScheme: "dark" });
    const dark = await ground();
    assert.notEqual(light, dark);
    await world.press("Settings");
    await world.page.getByLabel("Colours").selectOption("light");
    assert.equal(await ground(), light);
    await world.page.reload();
    await world.see("status");
    assert.equal(await ground(), light);
  },

  "AD-15: speaks German to who wants it, and remembers": async (world) => {
    await world.page.getByLabel("Language").selectOption("de");
    await world.page.getByRole("button", { name: "Anmelden" }).waitFor();
    assert.equal(await world.page.evaluate(() => document.documentElement.lang), "de");
    await world.page.reload();
    await world.page.getByRole("button", { name: "Anmelden" }).waitFor();
  },

  "AD-16: a lost socket comes back by the resume token, and says so meanwhile": async (world) => {
    await world.logIn();
    world.mock.welcome.resume = "resume-2";
    world.mock.cut();
    await world.page.getByText("No connection. Trying again …").waitFor();
    assert.deepEqual(await world.mock.next("login"), { type: "login", resume: "resume-1" });
    await world.page.getByText("No connection. Trying again …").waitFor({ state: "detached" });
    await world.page.reload();
    assert.deepEqual(await world.mock.next("login"), { type: "login", resume: "resume-2" });
  },

  "AD-16: a ring survives the reload": async (world) => {
    await world.logIn();
    await world.ring();
    await world.page.reload();
    await world.mock.next("login");
    await world.ring();
    await world.press("Answer");
    await world.mock.next("answer");
  },

  "AD-16: an old resume token leads to the log-in, and says why": async (world) => {
    await world.logIn();
    world.mock.answers.login = { refuse: "desk-login" };
    await world.page.reload();
    await world.page.getByLabel("Password").waitFor();
  },

  "AD-17: the badge shows the call's quality": async (world) => {
    await world.logIn();
    await world.talk();
    for (const [mos, word] of [[4.3, "good"], [3.7, "fair"], [2.1, "poor"]]) {
      world.mock.say({ type: "quality", call: "c1", mos, loss: 0.012, jitter_ms: 4.4, rtt_ms: 31, unheard: false });
      await world.see("quality", `Quality: ${word}`);
    }
    await world.see("quality", "loss 1.2 %, jitter 4 ms, round trip 31 ms");
  },

  "AD-17: warns that they cannot hear the agent, but not when he is mute": async (world) => {
    await world.logIn();
    const card = await world.talk();
    world.mock.say({ type: "quality", call: "c1", mos: 4.3, unheard: true });
    await world.page.getByRole("alert").getByText("They cannot hear you.").waitFor();
    await world.press("Check devices");
    await world.page.getByRole("dialog").waitFor();
    await world.press("Close");
    await world.press("Mute", card);
    await world.gone("unheard");
  },

  "missed calls are listed and called back": async (world) => {
    await world.logIn({ missed: [{ caller: CALLER, queue: "sales", ago_ms: 120_000 }] });
    await world.see("missed", "Max Power");
    await world.see("missed", "2:0");
    world.mock.say({ type: "missed", caller: { number: "+331" }, ago_ms: 0 });
    await world.see("missed", "+331");
    await world.page.getByRole("button", { name: "Call back" }).last().click();
    assert.equal((await world.mock.next("dial")).to, CALLER.number);
  },
};

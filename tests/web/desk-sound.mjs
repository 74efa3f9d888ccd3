// What is heard: the far end of each call says a tone and listens for the agent's microphone.

import assert from "node:assert/strict";
import { pause } from "./stage.mjs";

export const SOUND = {
  "AD-06: answers by the button; 440 Hz one way, 1 kHz the other": async (world) => {
    await world.logIn();
    await world.talk();
    await world.farHears("c1", 1_000);
    await world.agentHears(440);
  },

  "AD-06: mutes and unmutes": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.farHears("c1", 1_000);
    await world.press("Mute", card);
    await world.farHearsNothing("c1");
    await world.press("Unmute", card);
    await world.farHears("c1", 1_000);
  },

  "AD-06: a call of one's own is heard both ways, early media too": async (world) => {
    await world.logIn();
    await world.page.getByLabel("Number or name").fill("700");
    await world.press("Call");
    const { call, sdp } = await world.mock.next("dial");
    const answer = await world.far.evaluate(([call, sdp]) => far.take(call, sdp, 440), [call, sdp]);
    world.mock.say({ type: "progress", call, state: "early", sdp: answer });
    await world.agentHears(440);
    // What was said early holds.
    world.mock.say({ type: "answered", call });
    await world.see("call", "Talking");
    await world.farHears(call, 1_000);
    assert.equal(await world.page.evaluate(() => test.connections.at(-1).signalingState), "stable");
  },

  "AD-04: the microphone is changed in the call, and mute stays as it was": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.farHears("c1", 1_000);
    const change = async (label) => {
      await world.press("Settings");
      await world.page.getByLabel("Microphone", { exact: true }).selectOption({ label });
      await world.press("Close");
    };
    await change("Desk microphone");
    await world.farHears("c1", 2_000);
    await world.press("Mute", card);
    await world.farHearsNothing("c1");
    await change("Headset");
    await world.farHearsNothing("c1");
    await world.press("Unmute", card);
    await world.farHears("c1", 1_000);
  },

  "AD-04: the speaker is changed in the call": async (world) => {
    await world.logIn();
    await world.talk();
    await world.press("Settings");
    await world.page.getByLabel("Speaker", { exact: true }).selectOption({ label: "Loudspeaker" });
    await world.until("the speaker", () => world.page.evaluate(() => test.sinks.at(-1) === "ear-b"));
  },

  "AD-06: the server offers anew in the call, and sound goes on": async (world) => {
    await world.logIn();
    await world.talk();
    await world.farHears("c1", 1_000);
    const sdp = await world.far.evaluate(() => far.again("c1"));
    world.mock.say({ type: "offer", call: "c1", sdp });
    const answer = await world.mock.next("answer");
    await world.far.evaluate((sdp) => far.answered("c1", sdp), answer.sdp);
    await world.farHears("c1", 1_000);
    await world.agentHears(440);
  },

  "AD-16: a reload in the call: sound is back both ways, mute is kept": async (world) => {
    await world.logIn();
    const card = await world.talk();
    await world.press("Mute", card);
    await world.page.reload();
    const began = performance.now();
    await world.mock.next("login");
    const sdp = await world.far.evaluate(() => far.offer("c1"));
    world.mock.say({ type: "attach", call: "c1", sdp, queue: "sales" });
    const attach = await world.mock.next("attach");
    await world.far.evaluate((sdp) => far.answered("c1", sdp), attach.sdp);
    await world.see("call", "Talking");
    await world.agentHears(440);
    world.figures.push(`  ${(performance.now() - began).toFixed(0)} ms from the reloaded page to half a second of sound`);
    await world.see("call", "Muted");
    await world.see("call", "Call from Max Power");
    await world.far.evaluate(() => far.listen("c1", 1_000));
    await world.farHearsNothing("c1");
    await world.press("Unmute", card);
    await world.farHears("c1", 1_000);
  },

  "AD-16: the socket is lost in the call: sound goes on until the server gives it back": async (world) => {
    await world.logIn();
    await world.talk();
    await world.farHears("c1", 1_000);
    world.mock.cut();
    await world.farHears("c1", 1_000);
    await world.mock.next("login");
    const sdp = await world.far.evaluate(() => far.offer("c1"));
    world.mock.say({ type: "attach", call: "c1", sdp });
    const attach = await world.mock.next("attach");
    await world.far.evaluate((sdp) => far.answered("c1", sdp), attach.sdp);
    await world.see("call", "Talking");
    await world.farHears("c1", 1_000);
    assert.equal(await world.page.evaluate(() => test.connections.filter((it) => it.connectionState !== "closed").length), 1);
  },

  "AD-16: another network: the way is found anew by names that the desk offers": async (world) => {
    await world.logIn();
    await world.talk();
    await world.farHears("c1", 1_000);
    world.mock.answers.renegotiate = async ({ call, sdp }) => ({
      sdp: await world.far.evaluate(([call, sdp]) => far.take(call, sdp), [call, sdp]),
    });
    const name = () => world.page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(test.connections.at(-1).localDescription.sdp)[1]);
    const before = await name();
    await world.page.evaluate(() => dispatchEvent(new Event("online")));
    await world.mock.next("renegotiate");
    await world.farHears("c1", 1_000);
    assert.notEqual(await name(), before);
  },

  "AD-16: networks change while new names are agreed: the next ones wait for these, and sound is back": async (world) => {
    await world.logIn();
    await world.talk();
    await world.farHears("c1", 1_000);
    let [under, most, asked] = [0, 0, 0];
    world.mock.answers.renegotiate = async ({ call, sdp }) => {
      asked += 1;
      under += 1;
      most = Math.max(most, under);
      await pause(300);
      const answer = await world.far.evaluate(([call, sdp]) => far.take(call, sdp), [call, sdp]);
      under -= 1;
      return { sdp: answer };
    };
    await world.page.evaluate(() => dispatchEvent(new Event("online")));
    await world.until("the first offer", () => asked === 1);
    await world.page.evaluate(() => dispatchEvent(new Event("online")));
    await world.until("the second", () => asked === 2);
    assert.equal(most, 1, "offers at once");
    await world.until("the second's answer", () => under === 0);
    await world.farHears("c1", 1_000);
    await world.agentHears(440);
  },
};

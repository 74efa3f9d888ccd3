// An agent at his desk, and the calls that tests begin with.

import assert from "node:assert/strict";
import path from "node:path";
import { Caller } from "./caller.mjs";
import { CARRIER, until } from "./server.mjs";
import { pause } from "./stage.mjs";

/** What each agent says, in Hz. */
export const ANNA = 1_000;
export const BEN = 2_000;

/** One agent at his desk, in a browser's context of his own. */
export class Agent {
  /** Logged in. */
  static async open(world, name, hz) {
    const agent = await Agent.arrive(world, name, hz);
    await agent.logIn(`secret-${name}`);
    await agent.see("status", "Available");
    return agent;
  }

  /** Before the log-in. */
  static async arrive(world, name, hz) {
    const agent = new Agent();
    Object.assign(agent, { name, asked: [] });
    const { log, folder } = world.stage;
    agent.context = await world.browser.newContext({ bypassCSP: true, locale: "en-GB" });
    await agent.context.addInitScript(`globalThis.tone = ${hz};`);
    await agent.context.addInitScript({ path: path.join(folder, "desk-page.bundle.js") });
    agent.page = await agent.context.newPage();
    agent.page.setDefaultTimeout(8_000);
    agent.page.on("pageerror", (error) => log(`${name}: ${error}`));
    agent.page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => log(`${name} < ${String(payload).slice(0, 300)}`));
      socket.on("framesent", ({ payload }) => {
        log(`${name} > ${String(payload).slice(0, 300)}`);
        agent.asked.push(JSON.parse(String(payload)));
      });
    });
    await agent.page.goto(`${world.server.home}/desk/`);
    return agent;
  }

  async logIn(password) {
    await this.page.getByLabel("Name").fill(this.name);
    await this.page.getByLabel("Password").fill(password);
    await this.press("Log in");
  }

  async leave() {
    await this.context.close();
  }

  /** Calls a number. */
  async dial(number) {
    await this.page.getByLabel("Number or name").fill(number);
    await this.press("Call");
  }

  press(name, within = this.page) {
    return within.getByRole("button", { name, exact: true }).click();
  }

  part(name, text) {
    return this.page.locator(`[data-test="${name}"]`, text ? { hasText: text } : {}).first();
  }

  async see(name, text) {
    await this.part(name, text).waitFor();
  }

  async answer() {
    await this.see("ring");
    await this.press("Answer");
    await this.see("call", "Talking");
  }

  /** When a button was pressed, by the wall clock. */
  async pressAt(name) {
    const button = this.page.getByRole("button", { name, exact: true });
    return button.evaluate((it) => {
      const at = performance.timeOrigin + performance.now();
      it.click();
      return at;
    });
  }

  /** Hears that tone, among others or alone. */
  async hears(hz) {
    await this.page.evaluate((hz) => test.listen(hz), hz);
    await until(`${hz} Hz at the desk`, 8_000, () =>
      this.page.evaluate(() => {
        const { share, rms, parts } = test.ear.latest(0.5);
        return parts >= 25 && rms * Math.sqrt(Math.max(share, 0)) > 0.2;
      }));
  }

  /** Writes its last call up and is available again. */
  async rest() {
    await this.part("call").waitFor({ state: "detached" });
    while ((await this.part("wrap-up").count()) > 0) await this.press("Done", this.part("wrap-up"));
    await this.press("Available");
    await this.see("status", "Available");
  }
}

/** A caller who has gone through the menu and talks to Anna. */
export async function talk({ server, anna }) {
  const caller = await Caller.open(CARRIER, server.sip, 440, { keys: true });
  assert.equal(await caller.invite("700"), 200);
  await pause(300);
  caller.press("1");
  await anna.answer();
  await caller.hears(ANNA);
  return caller;
}

/** Anna asks Ben, and he answers. */
export async function consult({ anna, ben }) {
  await anna.press("Transfer");
  await anna.page.getByLabel("Transfer to").fill("ben");
  await anna.press("Consult first");
  await ben.answer();
  await ben.hears(ANNA);
}

/** The caller hangs up, whom nobody has dropped. */
export async function end({ anna }, caller) {
  assert.equal(caller.ended, null, "the caller was dropped");
  assert.equal(await caller.bye(), 200);
  caller.close();
  await anna.rest();
}

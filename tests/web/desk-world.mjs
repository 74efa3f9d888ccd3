// One test's world: a fresh desk, the mock server, and far ends to talk to.

import assert from "node:assert/strict";
import path from "node:path";
import { until } from "./server.mjs";
import { figures } from "./stage.mjs";

export const CALLER = { name: "Max Power", number: "+49301234" };

export class World {
  figures = figures;

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** Runs one test in a desk of its own. */
  async try(name, step, bypassCSP) {
    this.mock.reset();
    this.context = await this.browser.newContext({ bypassCSP, locale: "en-GB", reducedMotion: "reduce" });
    await this.context.addInitScript({ path: path.join(this.stage.folder, "desk-page.bundle.js") });
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(5_000);
    const errors = [];
    const foreign = [];
    this.page.on("pageerror", (error) => errors.push(String(error)));
    this.page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(this.mock.url) && !/^(blob|data):/.test(url)) foreign.push(url);
    });
    try {
      await this.page.goto(`${this.mock.url}/desk/`);
      await step(this);
      assert.deepEqual(errors, [], "errors in the page");
      assert.deepEqual(foreign, [], "requests to elsewhere");
      const violations = await this.page.evaluate(() => globalThis.test?.violations ?? []);
      assert.deepEqual(violations, [], "against the page's policy");
    } catch (error) {
      await this.stage.picture(this.page, name);
      if (errors.length > 0) error.message += `; page: ${errors}`;
      throw error;
    } finally {
      await this.context.close();
    }
  }

  async logIn(welcome = {}) {
    Object.assign(this.mock.welcome, welcome);
    await this.page.getByLabel("Name").fill("anna");
    await this.page.getByLabel("Password").fill("secret-anna");
    await this.press("Log in");
    const login = await this.mock.next("login");
    await this.see("status");
    return login;
  }

  /** Presses the button of that name. */
  press(name, within = this.page) {
    return within.getByRole("button", { name, exact: true }).click();
  }

  /** A part of the page by its test name. */
  part(name) {
    return this.page.locator(`[data-test="${name}"]`);
  }

  async see(name, text) {
    await this.part(name).first().waitFor();
    if (text) await this.page.locator(`[data-test="${name}"]`, { hasText: text }).first().waitFor();
  }

  async gone(name) {
    await this.part(name).first().waitFor({ state: "detached" });
  }

  /** A call rings. */
  async ring(call = "c1", more = {}) {
    const sdp = await this.far.evaluate((call) => far.offer(call), call);
    this.mock.say({ type: "ring", call, sdp, caller: CALLER, ...more });
    await this.see("ring");
  }

  /** A call that rang and was answered by the button; media flows. */
  async talk(call = "c1", more = {}) {
    await this.ring(call, more);
    await this.press("Answer");
    const { sdp } = await this.mock.next("answer");
    await this.far.evaluate(([call, sdp]) => far.answered(call, sdp), [call, sdp]);
    await this.see("call", "Talking");
    return this.part("call").filter({ hasText: more.caller?.name ?? CALLER.name });
  }

  /** What the desk dials is answered there. */
  async pickUp(request, hz) {
    const sdp = await this.far.evaluate(([call, sdp, hz]) => far.take(call, sdp, hz), [request.call, request.sdp, hz]);
    this.mock.say({ type: "answered", call: request.call, sdp });
  }

  async until(what, look, limit = 5_000) {
    return until(what, limit, look);
  }

  /** The far end of a call hears that tone. */
  async farHears(call, hz, seconds = 0.5) {
    await this.far.evaluate(([call, hz]) => far.listen(call, hz), [call, hz]);
    const look = () => this.far.evaluate(([call, s]) => far.latest(call, s), [call, seconds]);
    await this.until(`${hz} Hz at the far end`, async () => (await look()).share > 0.9);
    const { rms } = await look();
    assert.ok(rms > 0.25 && rms < 0.45, `rms ${rms}`);
  }

  async farHearsNothing(call, hz) {
    await this.until(`silence at the far end`, () =>
      this.far.evaluate(([call]) => far.latest(call, 0.3).rms < 0.01, [call, hz]));
  }

  async agentHears(hz) {
    await this.page.evaluate((hz) => test.listen(hz), hz);
    await this.until(`${hz} Hz at the desk`, () => this.page.evaluate(() => test.ear.latest(0.5).share > 0.9));
  }
}

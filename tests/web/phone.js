// What every phone of a page has, whichever client it is made of: its calls, what happened, and an ear.

import { Ear } from "./ears.js";

export class Phone {
  /** What happened, in order. */
  events = [];
  /** Its calls, in the order in which they began. */
  lines = [];
  /** When the latest call ended, by the wall clock. */
  over = 0;
  #gone = new Set();

  /** Forgets what was; no call stands. */
  fresh() {
    this.events.length = 0;
    this.lines.length = 0;
    this.over = 0;
    this.#gone.clear();
  }

  /** How many calls stand. */
  standing() {
    return this.lines.filter((it) => !this.#gone.has(it)).length;
  }

  /** The call that is meant from now on. */
  use(n) {
    this.session = this.lines[n];
  }

  /** Listens to that call's far end. */
  async listen(hz) {
    this.ear = new Ear(hz);
    await this.ear.listen(this.connection());
  }

  /** A call that has begun, and what is said of that. */
  began(session, ...events) {
    this.session = session;
    this.lines.push(session);
    this.events.push(...events);
  }

  ended(session, event) {
    this.#gone.add(session);
    this.events.push(event);
    this.over = performance.timeOrigin + performance.now();
  }
}

// Every button of the agent's desk in a headless Chromium, against a server that says what the test wants: what a
// press asks of the server, what is shown of its answers, and by sound what the far end of a call hears.
//
//   node tests/web/desk-buttons.mjs [WORD…]        only the tests whose names have one of the words
//
// The desk must have been built (make desk). Everything is on loopback.

import fs from "node:fs";
import path from "node:path";
import { Mock } from "./desk-mock.mjs";
import { SOUND } from "./desk-sound.mjs";
import { STEPS } from "./desk-steps.mjs";
import { World } from "./desk-world.mjs";
import { NAMES_OF_ADDRESSES, onStage } from "./stage.mjs";

const words = process.argv.slice(2);

await onStage("the desk's buttons", "e2e-desk", async (stage) => {
  const pages = path.resolve("web/dist/desk");
  if (!fs.existsSync(path.join(pages, "index.html"))) throw new Error("there is no desk: run make desk first");
  await stage.bundle(["far"]);
  await stage.bundle(["desk-page"], "iife");
  const mock = await Mock.open(pages, stage.folder);
  stage.closes(() => mock.close());
  stage.url = mock.url;
  const browser = await stage.browser(NAMES_OF_ADDRESSES);
  const far = await stage.page(await browser.newContext(), "far", { name: "far" });
  const wanted = ([name]) => words.length === 0 || words.some((it) => name.includes(it));
  // An ear needs what the desk's policy forbids, so only where one listens the browser is told to overlook it.
  const all = [[STEPS, false], [SOUND, true]].flatMap(([steps, bypassCSP]) =>
    Object.entries(steps).map(([name, step]) => [name, (world) => world.try(name, step, bypassCSP)]));
  const world = new World({ stage, mock, browser, far });
  await stage.steps(world, Object.fromEntries(all.filter(wanted)), { title: "desk", all: true });
});

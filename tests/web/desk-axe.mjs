// axe-core over the page as it stands: WCAG 2.2 at levels A and AA.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import fs from "node:fs";

const source = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** No finding that is serious or critical; the milder ones are shown. */
export async function axe(world, scene) {
  await world.page.evaluate(source);
  const { violations, passes } = await world.page.evaluate((values) => axe.run({ runOnly: { type: "tag", values } }), TAGS);
  const line = ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((it) => it.html.slice(0, 120)).join(" | ")}`;
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const mild = violations.filter((it) => !grave.includes(it));
  world.figures.push(`  axe, ${scene}: ${grave.length} serious, ${mild.length} milder, ${passes.length} rules passed`);
  for (const it of mild) world.figures.push(`    ${line(it)}`);
  assert.deepEqual(grave.map(line), [], scene);
}

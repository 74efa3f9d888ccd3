// What a desk records, by what is in the file.

import assert from "node:assert/strict";
import { ANNA, end, talk } from "./desk-agent.mjs";
import { Recording } from "./recording.mjs";
import { until } from "./server.mjs";
import { figures, pause } from "./stage.mjs";

export const STEPS = {
  "AD-06: records, pauses, resumes, stops: the file has the caller left, the agent right, and no sound of the pause": async (world) => {
    const { server, anna } = world;
    const caller = await talk(world);
    await anna.press("Record");
    await anna.see("call", "Recording");
    await pause(2_000);
    const paused = await anna.pressAt("Pause recording");
    await anna.see("call", "Recording paused");
    await pause(2_000);
    const resumed = await anna.pressAt("Resume recording");
    await anna.part("call").getByText("Recording", { exact: true }).waitFor();
    await pause(2_000);
    await anna.press("Stop recording");
    await anna.part("call").getByRole("button", { name: "Record", exact: true }).waitFor();
    await end(world, caller);

    const cdr = await until("the record", 5_000, async () => {
      const [newest] = (await server.get("/v1/cdrs?limit=1")).cdrs;
      return newest.recordings.length > 0 && newest;
    });
    const [{ holes, ending, duration }] = cdr.recordings;
    assert.deepEqual([holes.length, holes[0]?.why, ending], [1, "paused", "complete"]);
    const [{ at, duration: hole }] = holes;
    const file = new Recording(await server.bytes(cdr.recording_url));
    figures.push(`  ${duration.toFixed(2)} s, of which ${hole.toFixed(2)} s from ${at.toFixed(2)} s on are paused`);
    assert.ok(Math.abs(file.seconds - duration) < 0.05, `${file.seconds} s in the file`);
    assert.ok(Math.abs(hole - (resumed - paused) / 1_000) < 0.25, `a hole of ${hole} s`);
    for (const [from, to] of [[0.2, at - 0.1], [at + hole + 0.1, file.seconds - 0.2]]) {
      assert.ok(to - from > 1, `sound from ${from} to ${to} s`);
      for (const [side, hz, other] of [["left", 440, ANNA], ["right", ANNA, 440]]) {
        const { share, rms } = file.part(side, from, to, hz);
        assert.ok(share > 0.9 && rms > 0.25 && rms < 0.45, `${side}: ${hz} Hz has ${share}, rms ${rms}`);
        assert.ok(file.part(side, from, to, other).share < 0.02, `${side}: ${other} Hz too`);
      }
    }
    for (const side of ["left", "right"]) {
      const { rms } = file.part(side, at + 0.02, at + hole - 0.02, 440);
      assert.ok(rms < 0.0005, `${side}: rms ${rms} in the pause`);
    }
  },
};

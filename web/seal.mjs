// After the build: each file again in brotli, and the desk's size, which has a limit.

import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FOLDER = new URL("dist/desk/", import.meta.url).pathname;
/** Of all script together, in bytes of gzip. */
const SCRIPT_MAX = 80_000;

const files = readdirSync(FOLDER, { recursive: true })
  .map((name) => join(FOLDER, name))
  .filter((path) => statSync(path).isFile() && !path.endsWith(".br"));

const sizes = { script: 0, style: 0, other: 0 };
for (const path of files) {
  const bytes = readFileSync(path);
  const kind = path.endsWith(".js") ? "script" : path.endsWith(".css") ? "style" : "other";
  sizes[kind] += gzipSync(bytes, { level: 9 }).length;
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const packed = brotliCompressSync(bytes, { params });
  rmSync(`${path}.br`, { force: true });
  if (packed.length < bytes.length) writeFileSync(`${path}.br`, packed);
}

const kB = (bytes) => `${(bytes / 1_000).toFixed(1)} kB`;
console.log(
  `the desk, gzip: script ${kB(sizes.script)} of at most ${kB(SCRIPT_MAX)}, ` +
    `style ${kB(sizes.style)}, the rest ${kB(sizes.other)}`,
);
if (sizes.script > SCRIPT_MAX) {
  console.error(`the desk's script is larger than ${kB(SCRIPT_MAX)}`);
  process.exit(1);
}

// Builds the desk into dist/desk, which the server's build takes in as it is; `npm run build` seals it after.

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig(({ mode }) => ({
  base: "/desk/",
  plugins: [svelte()],
  // Tests run the code that browsers run, not what Svelte makes for servers.
  resolve: mode === "test" ? { conditions: ["browser"] } : {},
  build: {
    outDir: "dist/desk",
    target: "es2022",
    modulePreload: { polyfill: false },
    // Everything in files of its own: the policy that the page is served with knows no inline content.
    assetsInlineLimit: 0,
  },
  test: { include: ["tests/**/*.test.ts"] },
}));

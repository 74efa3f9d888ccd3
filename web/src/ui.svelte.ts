// What the page itself remembers: language, colours, shortcuts, notifications; and the second that it is.

import { load, store } from "./kept";
import { LANGUAGES, type Language, preferred, type Words } from "./words";

export type Theme = "system" | "light" | "dark";

class Ui {
  choice = $state(
    load("page", {
      language: preferred(navigator.languages ?? []) as Language,
      theme: "system" as Theme,
      shortcuts: true,
      notifications: false,
    }),
  );
  words: Words = $derived(LANGUAGES[this.choice.language] ?? LANGUAGES.en);
  /** The wall clock, once a second while the page is up. */
  now = $state(Date.now());
  panel = $state<"settings" | "shortcuts" | null>(null);

  constructor() {
    setInterval(() => {
      this.now = Date.now();
    }, 1_000);
  }

  keep(): void {
    store("page", $state.snapshot(this.choice));
    const root = document.documentElement;
    root.lang = this.choice.language;
    if (this.choice.theme === "system") delete root.dataset.theme;
    else root.dataset.theme = this.choice.theme;
  }
}

export const ui = new Ui();

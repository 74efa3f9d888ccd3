// Keyboard shortcuts: Alt and Shift with a letter, so that none is in the way of typing (WCAG 2.1.4).

import type { Desk } from "./desk.svelte";
import type { Words } from "./words";

export interface Shortcut {
  code: string;
  says: (words: Words) => string;
  does: (desk: Desk) => unknown;
}

export const SHORTCUTS: Shortcut[] = [
  { code: "KeyA", says: (w) => w.answer, does: (d) => d.ringing[0] && d.answer(d.ringing[0]) },
  { code: "KeyD", says: (w) => w.decline, does: (d) => d.ringing[0] && d.decline(d.ringing[0]) },
  { code: "KeyE", says: (w) => w.hang_up, does: (d) => d.current && d.hangUp(d.current) },
  {
    code: "KeyM",
    says: (w) => `${w.mute} / ${w.unmute}`,
    does: (d) => d.current && d.mute(d.current, !d.current.muted),
  },
  {
    code: "KeyH",
    says: (w) => `${w.hold} / ${w.resume}`,
    does: (d) => d.current && (d.current.held ? d.retrieve(d.current) : d.hold(d.current, true)),
  },
  {
    code: "KeyR",
    says: (w) => `${w.pause_recording} / ${w.resume_recording}`,
    does: (d) =>
      d.current &&
      d.current.tape !== "off" &&
      d.record(d.current, d.current.tape === "on" ? "pause" : "resume"),
  },
  { code: "KeyV", says: (w) => w.states.available ?? "", does: (d) => d.want("available") },
  { code: "KeyB", says: (w) => w.states.break ?? "", does: (d) => d.want("break") },
  { code: "KeyT", says: (w) => w.transfer, does: () => focus("transfer") },
  { code: "KeyK", says: (w) => w.keypad, does: () => focus("keypad") },
  { code: "KeyN", says: (w) => w.note, does: () => focus("note") },
  { code: "KeyC", says: (w) => w.dial, does: () => focus("dial") },
];

/** The shortcut that a key press is. */
export function shortcutOf(
  event: Pick<KeyboardEvent, "altKey" | "shiftKey" | "ctrlKey" | "metaKey" | "code">,
): Shortcut | null {
  if (!event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey) return null;
  return SHORTCUTS.find((it) => it.code === event.code) ?? null;
}

export const keyName = (code: string): string => `Alt + Shift + ${code.replace("Key", "")}`;

/** Goes to the first thing that says so of itself; one that opens something opens it. */
function focus(what: string): void {
  const there = document.querySelector<HTMLElement>(`[data-shortcut="${what}"]`);
  there?.focus();
  if (there instanceof HTMLButtonElement) there.click();
}

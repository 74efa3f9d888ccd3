// What the browser keeps for the desk: choices for good, the way back for as long as the tab lives.
// A browser that keeps nothing is no reason to fail.

const PREFIX = "tandem-desk-";

export function load<T extends object>(name: string, fallback: T): T {
  try {
    return { ...fallback, ...JSON.parse(localStorage.getItem(PREFIX + name) ?? "{}") };
  } catch {
    return fallback;
  }
}

export function store(name: string, value: object): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {}
}

/** The tab's own memory: it outlives a reload, and ends with the tab. */
export const tab = {
  get(name: string): string | null {
    try {
      return sessionStorage.getItem(PREFIX + name);
    } catch {
      return null;
    }
  },
  set(name: string, value: string | null): void {
    try {
      if (value === null) sessionStorage.removeItem(PREFIX + name);
      else sessionStorage.setItem(PREFIX + name, value);
    } catch {}
  },
};

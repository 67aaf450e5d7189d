/** Keys of one letter. They do nothing in a field, with a dialog open, or with Ctrl, ⌘ or Alt. */

import { useEffect, useRef } from "preact/hooks";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

const stack: { current: Keys }[] = [];
const PAIR_MS = 1_500;
let first: { key: string; at: number } | undefined;

/** Takes the keys while the component is shown; what came last goes first. `g l` is G, then L; `⇧e` has Shift. */
export function useKeys(keys: Keys): void {
  const held = useRef(keys);
  held.current = keys;
  useEffect(() => {
    stack.push(held);
    return () => {
      stack.splice(stack.indexOf(held), 1);
    };
  }, [held]);
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || isField(event.target)) return;
  const key = named(event);
  const pair = first && performance.now() - first.at < PAIR_MS ? `${first.key} ${key}` : "";
  first = undefined;
  const run = handler(pair) ?? handler(key);
  if (run) {
    event.preventDefault();
    run(event);
  } else if (stack.some(({ current }) => Object.keys(current).some((one) => one.startsWith(`${key} `)))) {
    first = { key, at: performance.now() };
  }
});

function handler(key: string): ((event: KeyboardEvent) => void) | undefined {
  return key ? stack.findLast(({ current }) => current[key])?.current[key] : undefined;
}

function named(event: KeyboardEvent): string {
  const letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.shiftKey && /^[a-z]$/.test(letter) ? `⇧${letter}` : letter;
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.matches("input, textarea, select");
}

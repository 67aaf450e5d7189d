/** The glyph and the word of a state: shape first, then the word, then the colour. */

import type { State } from "./thread.ts";

export const WORDS: Record<State, string> = {
  running: "running",
  waits: "waits for you",
  failed: "failed",
  interrupted: "interrupted",
  done: "done",
  ready: "ready",
  rest: "at rest",
  archived: "archived",
  missing: "missing",
};

/** The states whose word stands beside the glyph; the others only have a label. */
const SPOKEN = new Set<State>(["running", "waits", "failed", "interrupted", "archived", "missing"]);

export function Glyph({ state, label = true }: { state: State; label?: boolean }) {
  const named = label ? { role: "img" as const, "aria-label": WORDS[state] } : { "aria-hidden": true as const };
  return (
    <svg class={`icon glyph is-${state}`} viewBox="0 0 16 16" {...named}>
      {SHAPES[state]}
    </svg>
  );
}

export function Word({ state }: { state: State }) {
  return SPOKEN.has(state) ? <span class={`word is-${state}`}>{WORDS[state]}</span> : null;
}

const FILLED = { fill: "currentColor", stroke: "none" };
const SHAPES = {
  running: (
    <>
      <circle cx="8" cy="8" r="5.8" opacity=".3" />
      <path class="turning" d="M8 2.2A5.8 5.8 0 0 1 13.8 8" />
      <circle cx="8" cy="8" r="2.2" {...FILLED} />
    </>
  ),
  waits: <path d="m8 1.5 6.5 6.5L8 14.5 1.5 8ZM8 5.2v3.3M8 10.8v.1" />,
  failed: (
    <>
      <path d="M5.3 1.7h5.4l3.6 3.6v5.4l-3.6 3.6H5.3l-3.6-3.6V5.3Z" {...FILLED} />
      <path class="through" d="m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2" />
    </>
  ),
  interrupted: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <rect x="5.7" y="5.7" width="4.6" height="4.6" rx=".8" {...FILLED} />
    </>
  ),
  done: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="m5.3 8.2 1.9 1.8 3.5-3.8" />
    </>
  ),
  ready: (
    <>
      <circle cx="8" cy="8" r="5.8" />
      <circle cx="8" cy="8" r="2" {...FILLED} />
    </>
  ),
  rest: <circle cx="8" cy="8" r="4.8" opacity=".85" />,
  archived: <path d="M1.8 3h12.4v3H1.8ZM3 6v7h10V6M6.5 8.8h3" />,
  missing: (
    <>
      <circle cx="8" cy="8" r="6" stroke-dasharray="2.4 2.4" />
      <path d="M6.4 6.6a1.6 1.6 0 1 1 2.3 1.5c-.5.2-.7.5-.7 1M8 11v.1" />
    </>
  ),
};

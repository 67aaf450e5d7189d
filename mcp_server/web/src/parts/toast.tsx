/** A short word about what was done, with a way back. Errors never stand here alone. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "./Icon.tsx";

export interface Toast {
  text: string;
  dim?: string;
  /** Takes back what was done. It tells itself what goes wrong. */
  undo?: () => Promise<void>;
  more?: { label: string; run: () => void };
}

const SHOWN_MS = 10_000;
const shown = signal<Toast | undefined>(undefined);
let lastUndo: (() => Promise<void>) | undefined;

export function toast(one: Toast): void {
  if (one.undo) lastUndo = one.undo;
  shown.value = one;
}

/** Undoes what was done last, also after its toast has gone. */
export async function undoLast(): Promise<void> {
  const undo = lastUndo;
  if (!undo) return toast({ text: "There is nothing to undo" });
  lastUndo = undefined;
  shown.value = undefined;
  await undo();
}

export function Toasts() {
  const one = shown.value;
  const [held, hold] = useState(false);
  useEffect(() => {
    if (!one || held) return undefined;
    const timer = setTimeout(() => {
      shown.value = undefined;
    }, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [one, held]);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {one && (
        <div
          class="toast"
          onPointerEnter={() => hold(true)}
          onPointerLeave={() => hold(false)}
          onFocusIn={() => hold(true)}
          onFocusOut={() => hold(false)}
        >
          <span class="cut">{one.text}</span>
          {one.dim && <span class="dim cut">{one.dim}</span>}
          {one.undo && (
            <button type="button" class="button" onClick={() => void undoLast()}>
              Undo <kbd>Z</kbd>
            </button>
          )}
          {one.more && (
            <button type="button" class="button quiet" onClick={one.more.run}>
              {one.more.label}
            </button>
          )}
          <button type="button" class="button quiet square" aria-label="Close" onClick={() => (shown.value = undefined)}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}

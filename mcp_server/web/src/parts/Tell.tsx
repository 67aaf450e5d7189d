import type { ComponentChildren } from "preact";

/** The honesty line above a list: what is there, then what is not shown and why. */
export function Tell({ what, children }: { what: string; children?: ComponentChildren }) {
  return (
    <p class="tell" role="status">
      <b class="figures">{what}</b>
      {children && <span>{children}</span>}
    </p>
  );
}

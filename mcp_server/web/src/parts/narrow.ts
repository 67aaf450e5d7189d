/** Whether the page is so narrow that a row takes two lines. The frame is measured, never the screen. */

import { signal } from "@preact/signals";

const query = matchMedia("(max-width: 560px)");

export const narrow = signal(query.matches);

query.addEventListener("change", () => {
  narrow.value = query.matches;
});

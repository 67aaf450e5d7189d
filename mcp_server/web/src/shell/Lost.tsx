import { lostSince } from "../link/link.ts";
import { clockTime } from "../parts/time.ts";

/** Says that nobody answers any more; what is shown stays. */
export function Lost() {
  const since = lostSince.value;
  return (
    <div role="alert">
      {since && <p class="lost">Connection lost. What you see is from {clockTime(since)}. Trying again</p>}
    </div>
  );
}

import { Glyph } from "../parts/State.tsx";
import { counted, wholeNumber } from "../parts/time.ts";
import { sizeOf, spotNames, spotState, spotTitle } from "../tree/layout.ts";
import { Wires } from "../tree/Wires.tsx";
import { Failures } from "./Failures.tsx";
import type { Fate, Plan, PlanRow } from "./plan.ts";

const FATES: Record<Fate, string> = {
  move: "move",
  stop: "stop, then move",
  before: "archived before",
  "passed over": "passed over",
};

/** The tree, and what happens to each part of it. */
export function PlanList({ plan }: { plan: Plan }) {
  return (
    <ul class="plan" tabIndex={0} aria-label="What would happen">
      {plan.rows.map((row) => (
        <PlanLine key={row.spot.id} row={row} />
      ))}
      {plan.more > 0 && (
        <li class="plan-row faint">{counted(plan.more, "more row")} not shown here; the sum counts them</li>
      )}
    </ul>
  );
}

function PlanLine({ row: { spot, base, fate } }: { row: PlanRow }) {
  const size = sizeOf(spot);
  return (
    <li class="plan-row">
      <Wires spot={spot} base={base} height={32} start={17} step={22} />
      <Glyph state={fate === "before" ? "archived" : spotState(spot)} />
      <span class="cut grow">
        <b>{spotTitle(spot, base)}</b> <span class="faint not-narrow">{spotNames(spot, base)}</span>
      </span>
      <span class={`fate is-${fate === "passed over" ? "passed" : fate}`}>
        {FATES[fate]}
        {fate === "move" && size > 1 && ` ${wholeNumber(size)}`}
      </span>
    </li>
  );
}

/** The dry run in numbers. */
export function PlanSum({ plan }: { plan: Plan }) {
  return (
    <div class="sum">
      <span>
        <b>{wholeNumber(plan.moves)}</b> {plan.moves === 1 ? "moves" : "move"}
      </span>
      {plan.stops > 0 && (
        <span class="sum-stops">
          <Glyph state="waits" label={false} />
          <span>
            <b>{wholeNumber(plan.stops)}</b> {plan.stops === 1 ? "is" : "are"} working and will be stopped first
          </span>
        </span>
      )}
      {plan.before > 0 && (
        <span>
          <b>{wholeNumber(plan.before)}</b> archived before
        </span>
      )}
      {plan.needs && <span>The call needs besides: {plan.needs}</span>}
      {plan.failed.length > 0 && <Failures failed={plan.failed} names={plan.names} lead="Would be passed over" />}
    </div>
  );
}

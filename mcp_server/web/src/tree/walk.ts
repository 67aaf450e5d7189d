/** How the arrow keys walk through a tree. */

import type { Spot } from "./layout.ts";

export type Step = "parent" | "child" | "previous" | "next";

const STEPS: Record<string, Step> = {
  ArrowLeft: "parent",
  ArrowRight: "child",
  ArrowUp: "previous",
  ArrowDown: "next",
};

export function stepOf(key: string): Step | undefined {
  return STEPS[key];
}

/** The spot that one step leads to; the same one where there is none. In a map, up and down go through the column. */
export function walk(spots: readonly Spot[], from: Spot, step: Step, isMap: boolean): Spot {
  switch (step) {
    case "parent":
      return from.parent ?? from;
    case "child":
      return childOf(from) ?? from;
    default: {
      const column = isMap ? spots.filter((spot) => spot.depth === from.depth) : spots;
      return column[column.indexOf(from) + (step === "next" ? 1 : -1)] ?? from;
    }
  }
}

function childOf(spot: Spot): Spot | undefined {
  return spot.kind === "agent" ? spot.children[0] : undefined;
}

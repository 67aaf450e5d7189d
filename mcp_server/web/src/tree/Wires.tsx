import type { Spot } from "./layout.ts";

interface WiresProps {
  spot: Spot;
  /** The depth of the row that stands leftmost. */
  base: number;
  height: number;
  /** The height at which the wire meets the row; its middle if not given. */
  middle?: number;
  /** Where the first wire runs, and how far each level is from the one before. */
  start: number;
  step: number;
}

const BEND = 8;
/** From the wire's start to the glyph's left edge: the wires end a little before it. */
const GLYPH = 17;
const GLYPH_HALF = 11;

/** The wires of a row in an outline: those that pass it, its own, and the one to its children. */
export function Wires({ spot, base, height, middle = height / 2, start, step }: WiresProps) {
  const at = (depth: number) => start + step * (depth - base);
  const isRunning = spot.kind === "agent" && spot.agent.state === "running";
  const from = at(spot.depth - 1);
  const ends = at(spot.depth) - BEND - 3;
  return (
    <svg class="wires" width={Math.max(0, at(spot.depth) - GLYPH)} height={height} aria-hidden="true">
      {passing(spot, base).map((depth) => (
        <path key={depth} d={`M${at(depth)} 0V${height}`} />
      ))}
      {spot.depth > base && isLast(spot) && <path d={`M${from} 0V${middle - BEND}`} />}
      {spot.depth > base && (
        <path
          class={isRunning ? "is-running" : ""}
          d={`M${from} ${middle - BEND}a${BEND} ${BEND} 0 0 0 ${BEND} ${BEND}H${Math.max(from + BEND, ends)}`}
        />
      )}
      {spot.kind === "agent" && spot.children.length > 0 && (
        <path d={`M${at(spot.depth)} ${middle + GLYPH_HALF}V${height}`} />
      )}
    </svg>
  );
}

/** The depths whose wire goes on below this row. */
function passing(spot: Spot, base: number): number[] {
  const depths: number[] = [];
  for (let at: Spot | undefined = spot; at && at.depth > base; at = at.parent) {
    if (!isLast(at)) depths.push(at.depth - 1);
  }
  return depths;
}

function isLast(spot: Spot): boolean {
  return spot.parent?.children.at(-1) === spot;
}

import { scaleBand, scaleLinear } from "d3-scale";
import { wholeNumber } from "../parts/time.ts";
import type { ChartProps } from "./DayChart.tsx";
import { useBox } from "./useBox.ts";

const HIGH = 120;
const TOP = 8;
const FOOT = 20;
const LEFT = 36;
const LEAST = 2;
const MOST_BAR = 28;
/** Each label of the axis takes so much room. */
const LABEL = 64;

interface BarsProps extends ChartProps {
  label: (date: Date) => string;
}

/** Turns as bars, one for each day or month. */
export function Bars({ slots, at, pick, open, slider, label }: BarsProps) {
  const { element, width } = useBox<HTMLDivElement>();
  const most = Math.max(1, ...slots.map((slot) => slot.turns));
  const x = scaleBand(
    slots.map((slot) => slot.key),
    [LEFT, Math.max(LEFT + 1, width)],
  ).paddingInner(0.3);
  const y = scaleLinear([0, most], [TOP + HIGH, TOP]).nice(3);
  const every = Math.max(1, Math.ceil(slots.length / Math.max(1, (width - LEFT) / LABEL)));
  const bar = Math.min(MOST_BAR, x.bandwidth());
  const left = (key: string) => (x(key) ?? 0) + (x.bandwidth() - bar) / 2;
  const ticks = y.ticks(3).filter(Number.isInteger);
  return (
    <div class="bars-chart" ref={element} {...slider}>
      <svg width="100%" height={TOP + HIGH + FOOT} aria-hidden="true">
        {ticks.map((tick) => (
          <g key={tick}>
            <path class="rule" d={`M${LEFT} ${y(tick)}H${width}`} />
            <text x="0" y={y(tick) + 4}>
              {wholeNumber(tick)}
            </text>
          </g>
        ))}
        {slots.map((slot, n) => (
          <g key={slot.key} onPointerEnter={() => pick(n)} onClick={() => open(n)}>
            <rect class="reach" x={x(slot.key)} y={TOP} width={x.bandwidth()} height={HIGH} />
            {slot.turns > 0 && (
              <rect
                class={n === at ? "column is-picked" : "column"}
                x={left(slot.key)}
                y={Math.min(y(slot.turns), TOP + HIGH - LEAST)}
                width={bar}
                height={Math.max(LEAST, TOP + HIGH - y(slot.turns))}
                rx="2"
              />
            )}
            {n % every === 0 && (
              <text x={left(slot.key)} y={TOP + HIGH + FOOT - 4}>
                {label(slot.date)}
              </text>
            )}
          </g>
        ))}
      </svg>
    </div>
  );
}

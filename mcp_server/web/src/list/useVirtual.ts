import {
  elementScroll, observeElementOffset, observeElementRect, type VirtualizerOptions, Virtualizer,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

type List = Virtualizer<HTMLElement, HTMLElement>;
type Options = Pick<VirtualizerOptions<HTMLElement, HTMLElement>, "count" | "estimateSize" | "getItemKey" | "scrollMargin">;

/** Draws only the rows in sight of a scrolled list. Keep `getItemKey` the same while the rows are: a new one lays all of
 * them out again. */
export function useVirtual(scroller: RefObject<HTMLElement | null>, options: Options): List {
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const whole: VirtualizerOptions<HTMLElement, HTMLElement> = {
    ...options,
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    overscan: 8,
    initialRect: { width: 800, height: 800 },
    onChange: () => draw(undefined),
  };
  const [list] = useState(() => new Virtualizer(whole));
  list.setOptions(whole);
  useLayoutEffect(() => list._didMount(), [list]);
  useLayoutEffect(() => list._willUpdate());
  return list;
}

import { useEffect } from "preact/hooks";

/** Lets a pointer drag the background of a frame that scrolls. */
export function usePanning(frame: { current: HTMLElement | null }): void {
  useEffect(() => {
    const box = frame.current;
    if (!box) return undefined;
    let from: { x: number; y: number; left: number; top: number } | undefined;
    const begin = (event: PointerEvent) => {
      const onNode = event.target instanceof Element && event.target.closest("[role=treeitem]");
      if (onNode || event.button !== 0 || event.pointerType !== "mouse") return;
      from = { x: event.clientX, y: event.clientY, left: box.scrollLeft, top: box.scrollTop };
      box.setPointerCapture(event.pointerId);
    };
    const move = (event: PointerEvent) => {
      if (from) box.scrollTo(from.left + from.x - event.clientX, from.top + from.y - event.clientY);
    };
    const end = () => {
      from = undefined;
    };
    box.addEventListener("pointerdown", begin);
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end);
    box.addEventListener("pointercancel", end);
    return () => {
      box.removeEventListener("pointerdown", begin);
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerup", end);
      box.removeEventListener("pointercancel", end);
    };
  }, []);
}

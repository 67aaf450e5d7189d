import { useEffect, useState } from "preact/hooks";

/** How wide the frame is: the map needs at least `medium`, and the pane beside it `wide`. */
export type Width = "narrow" | "small" | "medium" | "wide";

const FROM: [Width, string][] = [
  ["wide", "(min-width: 961px)"],
  ["medium", "(min-width: 761px)"],
  ["small", "(min-width: 561px)"],
];

export function useWidth(): Width {
  const [width, setWidth] = useState(measured);
  useEffect(() => {
    const queries = FROM.map(([, query]) => matchMedia(query));
    const measure = () => setWidth(measured());
    for (const query of queries) query.addEventListener("change", measure);
    return () => {
      for (const query of queries) query.removeEventListener("change", measure);
    };
  }, []);
  return width;
}

function measured(): Width {
  return FROM.find(([, query]) => matchMedia(query).matches)?.[0] ?? "narrow";
}

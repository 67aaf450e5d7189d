import { useMemo } from "preact/hooks";
import { link } from "../link/link.ts";
import { markdown } from "./markup.ts";

/** A stored text as Markdown. Its links are opened by the host or in another tab. */
export function Prose({ text }: { text: string }) {
  const html = useMemo(() => markdown(text), [text]);
  const follow = (event: MouseEvent) => {
    const anchor = (event.target as Element).closest("a");
    if (!anchor) return;
    event.preventDefault();
    const address = anchor.getAttribute("href");
    if (address) link.way.openAddress(address);
  };
  return <div class="prose" onClick={follow} dangerouslySetInnerHTML={{ __html: html }} />;
}

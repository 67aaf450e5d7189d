import { useMemo } from "preact/hooks";
import { code } from "./markup.ts";

/** A block of code with its colours. */
export function Code({ text, language, label }: { text: string; language?: string; label: string }) {
  const html = useMemo(() => code(text, language), [text, language]);
  return <pre tabIndex={0} role="group" aria-label={label} dangerouslySetInnerHTML={{ __html: html }} />;
}

import { useMemo } from "preact/hooks";
import { code, languageOf } from "../parts/markup.ts";
import { CopyButton } from "./CopyButton.tsx";
import type { Change } from "./told.ts";

interface Line {
  kind: "add" | "delete" | "same" | "head";
  text: string;
}

/** A change of a file: what came and what went, with the colours of its language. */
export function Diff({ change }: { change: Change }) {
  const lines = useMemo(() => linesOf(change), [change]);
  const added = lines.filter((line) => line.kind === "add").length;
  const deleted = lines.filter((line) => line.kind === "delete").length;
  const language = languageOf(change.path);
  return (
    <div class="code change">
      <div class="code-head">
        <span class="cut mono">{change.path}</span>
        {added > 0 && <span class="added figures">+{added}</span>}
        {deleted > 0 && <span class="deleted figures">−{deleted}</span>}
        <span class="grow" />
        <CopyButton label="Copy the change" text={async () => change.diff} />
      </div>
      <pre tabIndex={0} role="group" aria-label={`Change of ${change.path}`}>
        {lines.map((line, n) => (
          <ChangedLine key={n} line={line} language={language} />
        ))}
      </pre>
    </div>
  );
}

const SIGNS = { add: "+", delete: "-", same: " ", head: "" };

function ChangedLine({ line, language }: { line: Line; language: string }) {
  const html = useMemo(() => code(line.text, line.kind === "head" ? "" : language), [line.text, language]);
  return (
    <span class={`line is-${line.kind}`}>
      {SIGNS[line.kind]}
      <span dangerouslySetInnerHTML={{ __html: html }} />
    </span>
  );
}

/** The lines of a unified diff; a file that was added or deleted stands there whole. */
function linesOf({ kind, diff }: Change): Line[] {
  const lines = diff.replace(/\n$/, "").split("\n");
  const isDiff = lines.some((line) => line.startsWith("@@"));
  if (!isDiff) {
    const all = kind === "add" ? "add" : kind === "delete" ? "delete" : "same";
    return lines.map((text) => ({ kind: all, text }));
  }
  return lines.map((line) => {
    if (line.startsWith("@@") || line.startsWith("+++") || line.startsWith("---")) return { kind: "head", text: line };
    if (line.startsWith("+")) return { kind: "add", text: line.slice(1) };
    if (line.startsWith("-")) return { kind: "delete", text: line.slice(1) };
    return { kind: "same", text: line.replace(/^ /, "") };
  });
}

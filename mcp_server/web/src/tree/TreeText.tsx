import { useState } from "preact/hooks";
import { Icon } from "../parts/Icon.tsx";
import { WORDS } from "../parts/State.tsx";
import { counted, short } from "../parts/time.ts";
import { sumOf } from "../stats/tokens.ts";
import type { Agent } from "./agents.ts";
import type { AgentSpot, Spot } from "./layout.ts";
import type { TreeProps } from "./TreeView.tsx";

/** The tree as plain text, to read from top to bottom or to copy. */
export function TreeText({ root, chosen, choose, label, onKey }: TreeProps) {
  const lines = linesOf(root);
  const [copied, setCopied] = useState(false);
  const copy = () => {
    const text = lines.map((line) => `${line.before}${line.text}`).join("\n");
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <div class="scroll tree-text">
      <button type="button" class="button small" onClick={copy}>
        <Icon name="copy" /> {copied ? "Copied" : "Copy"}
      </button>
      <div role="tree" aria-label={label} onKeyDown={onKey}>
        {lines.map(({ before, text, spot }) => (
          <div
            key={spot.id}
            id={`spot-${spot.id}`}
            role="treeitem"
            aria-level={spot.depth + 1}
            aria-selected={spot.id === chosen.id}
            tabIndex={spot.id === chosen.id ? 0 : -1}
            onClick={() => choose(spot)}
          >
            <span aria-hidden="true">{before}</span>
            {text}
          </div>
        ))}
      </div>
    </div>
  );
}

interface Line {
  before: string;
  text: string;
  spot: AgentSpot;
}

function linesOf(spot: AgentSpot, before = "", indent = ""): Line[] {
  const children = spot.children.filter(isAgent);
  const below = children.flatMap((child, number) => {
    const isLast = number === children.length - 1;
    return linesOf(child, `${indent}${isLast ? "└─ " : "├─ "}`, `${indent}${isLast ? "   " : "│  "}`);
  });
  return [{ before, text: textOf(spot.agent), spot }, ...below];
}

function isAgent(spot: Spot): spot is AgentSpot {
  return spot.kind === "agent";
}

function textOf(agent: Agent): string {
  const role = agent.role ? ` (${agent.role})` : "";
  const title = agent.title === agent.name ? "" : `: ${agent.title}`;
  const facts = [WORDS[agent.state]];
  if (agent.turns !== undefined) facts.push(counted(agent.turns, "turn"));
  if (agent.tokens) facts.push(`${short(sumOf(agent.tokens))} tokens`);
  return `${agent.name}${role}${title}, ${facts.join(", ")}`;
}

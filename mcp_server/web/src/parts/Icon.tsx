/** The icons of ordinary things, from Lucide; they take the colour of the text. */

import {
  Archive, ArchiveRestore, Brain, ChartNoAxesColumn, Check, ChevronDown, ChevronLeft, ChevronRight, Copy, Ellipsis,
  FilePen, FileText, FoldVertical, Globe, type IconNode, Image, List, ListChecks, Maximize2, MessageSquare, Network,
  Pencil, Plug, RotateCw, Search, SquareTerminal, Tag, Trash2, Undo2, Wrench, X,
} from "lucide";
import { h } from "preact";

const ICONS = {
  archive: Archive, restore: ArchiveRestore, think: Brain, stats: ChartNoAxesColumn, check: Check, down: ChevronDown,
  left: ChevronLeft, right: ChevronRight, copy: Copy, more: Ellipsis, change: FilePen, file: FileText,
  compact: FoldVertical, globe: Globe, image: Image, list: List, plan: ListChecks, grow: Maximize2, say: MessageSquare,
  agents: Network, edit: Pencil, plug: Plug, again: RotateCw, search: Search, terminal: SquareTerminal, tag: Tag,
  delete: Trash2, undo: Undo2, tool: Wrench, close: X,
} satisfies Record<string, IconNode>;

export type IconName = keyof typeof ICONS;

/** Without a label the icon is decoration, and screen readers pass it over. */
export function Icon({ name, label }: { name: IconName; label?: string }) {
  const named = label ? { role: "img", "aria-label": label } : { "aria-hidden": true };
  const parts = ICONS[name].map(([tag, attributes]) => h(tag, attributes as Record<string, string>));
  return h("svg", { class: "icon", viewBox: "0 0 24 24", ...named }, parts);
}

export function Brand() {
  return (
    <svg class="mark" viewBox="0 0 20 20" aria-hidden="true">
      <path class="line" d="M5.5 2v16" />
      <path class="branch" d="M5.5 5.5c0 6 9 2.500 9 9" />
      <circle class="knot" cx="5.5" cy="5.5" r="3" />
      <circle class="leaf" cx="14.5" cy="14.8" r="3" />
    </svg>
  );
}

import { open } from "../parts/dialog.ts";
import { Icon } from "../parts/Icon.tsx";
import { Menu, type MenuItem } from "../parts/Menu.tsx";
import { href } from "../parts/route.ts";
import { counted } from "../parts/time.ts";
import { can } from "../shell/abilities.ts";
import { type Agent, type AgentTree, factsOfAgent } from "./agents.ts";
import type { View } from "./TreeView.tsx";

interface HeadProps {
  tree: AgentTree;
  view: View;
  setView: (view: View) => void;
  /** Archives the whole tree, or brings it back. */
  moveAll: () => void;
  /** Whether there is room for the map; else it is a list. */
  hasMap: boolean;
}

/** The name of the tree, how it is shown, and what can be done with all of it. */
export function Head({ tree, view, setView, moveAll, hasMap }: HeadProps) {
  const { root } = tree;
  const items = actions(root, moveAll);
  const views: [View, string][] = [
    ["map", hasMap ? "Map" : "List"],
    ["time", "Time"],
    ["text", "Text"],
  ];
  return (
    <header class="bar">
      <a class="button quiet square" href={href("thread", tree.asked.id)} aria-label="To the thread">
        <Icon name="left" />
      </a>
      <h1 class="cut">{root.title}</h1>
      <span class="faint only-wide">{counted(tree.total - 1, "sub-agent")}</span>
      <span class="grow" />
      <span class="segments not-narrow" role="group" aria-label="View">
        {views.map(([one, name]) => (
          <button key={one} type="button" aria-pressed={view === one} onClick={() => setView(one)}>
            {name}
          </button>
        ))}
      </span>
      {can(root.archived ? "thread_unarchive" : "thread_archive") && (
        <button
          type="button"
          class="button not-narrow"
          title={root.archived ? "Bring back" : "Archive all"}
          onClick={moveAll}
        >
          <Icon name={root.archived ? "restore" : "archive"} />
          <span class="only-wide">{root.archived ? "Bring back" : "Archive all"}</span>
          <kbd class="only-wide">{root.archived ? "⇧E" : "E"}</kbd>
        </button>
      )}
      {items.length > 0 && <Menu label="More actions" items={items} />}
    </header>
  );
}

function actions(root: Agent, moveAll: () => void): MenuItem[] {
  const remove = () => open({ kind: "delete", threads: [factsOfAgent(root)] });
  const items: (MenuItem & { tool: string })[] = [
    root.archived
      ? { tool: "thread_unarchive", icon: "restore", label: "Bring back", key: "⇧E", run: moveAll }
      : { tool: "thread_archive", icon: "archive", label: "Archive all", key: "E", run: moveAll },
    { tool: "thread_delete", icon: "delete", label: "Delete all", run: remove },
  ];
  return items.filter(({ tool }) => can(tool));
}

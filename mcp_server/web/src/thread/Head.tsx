import { link } from "../link/link.ts";
import { open } from "../parts/dialog.ts";
import { Icon } from "../parts/Icon.tsx";
import { Menu, type MenuItem } from "../parts/Menu.tsx";
import { back, href } from "../parts/route.ts";
import { Glyph } from "../parts/State.tsx";
import { Swatch } from "../parts/Swatch.tsx";
import { projectOf, stateOf, type ThreadFacts, titleOf } from "../parts/thread.ts";
import { can } from "../shell/abilities.ts";
import { continueInChat } from "./continue.ts";

interface Props {
  thread: ThreadFacts | undefined;
  threadId: string;
  /** Shows the facts, where the page is too narrow for their column. */
  about: () => void;
}

/** The name and state of a thread, and what can be done with it. */
export function Head({ thread, threadId, about }: Props) {
  return (
    <header class="bar">
      {threadId !== link.way.root && (
        <button type="button" class="button quiet square" aria-label="Back" onClick={back}>
          <Icon name="left" />
        </button>
      )}
      {thread && <Glyph state={stateOf(thread)} />}
      <h1 class="cut">{thread ? titleOf(thread) : "Thread"}</h1>
      {thread?.cwd && (
        <span class="chip not-narrow" title={thread.cwd}>
          <Swatch project={projectOf(thread.cwd)} />
          {projectOf(thread.cwd)}
        </span>
      )}
      {thread?.tags.slice(0, 3).map((tag) => (
        <span class="chip only-wide" key={tag}>
          {tag}
        </span>
      ))}
      <span class="grow" />
      <a class="button only-wide" href={href("tree", threadId)}>
        <Icon name="agents" />
        Tree <kbd>T</kbd>
      </a>
      <a class="button square not-wide" href={href("tree", threadId)} aria-label="Tree of sub-agents">
        <Icon name="agents" />
      </a>
      {thread && !link.way.root && (
        <button type="button" class="button not-narrow" onClick={() => void continueInChat(thread)}>
          <Icon name="say" />
          {link.way.say ? "Continue in chat" : "Copy for a chat"}
        </button>
      )}
      {thread && <Menu label="More actions" items={actions(thread, about)} />}
    </header>
  );
}

/** What can be done with a thread on this server. */
function actions(thread: ThreadFacts, about: () => void): MenuItem[] {
  const items: (MenuItem & { tool: string; shown?: boolean })[] = [
    { tool: "thread_update", icon: "edit", label: "Rename", key: "N", run: () => open({ kind: "name", thread }) },
    { tool: "thread_update", icon: "tag", label: "Tags", key: "L", run: () => open({ kind: "tags", thread }) },
    {
      tool: "thread_archive",
      icon: "archive",
      label: "Archive",
      key: "E",
      shown: !thread.archived,
      run: () => open({ kind: "archive", threads: [thread] }),
    },
    {
      tool: "thread_unarchive",
      icon: "restore",
      label: "Bring back",
      key: "⇧E",
      shown: thread.archived,
      run: () => open({ kind: "unarchive", threads: [thread] }),
    },
    { tool: "", icon: "file", label: "About this thread", run: about },
    { tool: "thread_delete", icon: "delete", label: "Delete", run: () => open({ kind: "delete", threads: [thread] }) },
    {
      tool: "",
      icon: "say",
      label: link.way.say ? "Continue in chat" : "Copy for a chat",
      key: "⇧C",
      shown: !link.way.root,
      run: () => void continueInChat(thread),
    },
  ];
  return items.filter(({ tool, shown = true }) => shown && (!tool || can(tool)));
}

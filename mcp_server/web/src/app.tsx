import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Dialogs } from "./dialogs/Dialogs.tsx";
import { inline, opening } from "./link/host.ts";
import { link } from "./link/link.ts";
import { isAtAnswer } from "./link/opened.ts";
import { EditDialogs } from "./list/EditDialogs.tsx";
import { Inline } from "./list/Inline.tsx";
import { ListView } from "./list/ListView.tsx";
import { open } from "./parts/dialog.ts";
import { type Keys, useKeys } from "./parts/keys.ts";
import { back, go, type Route, route } from "./parts/route.ts";
import { Toasts, undoLast } from "./parts/toast.tsx";
import { Lost } from "./shell/Lost.tsx";
import { Sidebar, Topbar } from "./shell/Sidebar.tsx";
import { start } from "./shell/start.ts";
import { StatsView } from "./stats/StatsView.tsx";
import { ThreadView } from "./thread/ThreadView.tsx";
import { TreeView } from "./tree/TreeView.tsx";

export function App() {
  const state = start.value;
  if (state.stage === "connecting") return <main class="empty" aria-busy="true" aria-label="Connecting" />;
  if (state.stage === "failed") return <NotConnected why={state.why} />;
  return (
    <>
      {isAnswer() ? <Inline opening={opening.value} /> : <Full />}
      <Toasts />
      <Dialogs />
      <EditDialogs />
    </>
  );
}

/** Whether the page shows the answer of one call in a chat, or waits for it. */
function isAnswer(): boolean {
  return inline.value && isAtAnswer(route.value);
}

const OF_ALL_THREADS: Keys = {
  "g l": () => go("list"),
  "g r": () => go("running"),
  "g s": () => go("stats"),
  z: () => void undoLast(),
};

/** Where the reader is. An export has no list: there one begins at its root. */
function place(): Route {
  const { root } = link.way;
  const { view, id, query } = route.value;
  return root && !id ? { view: "thread", id: root, query } : { view, id, query };
}

function Full() {
  useKeys({ ...(link.way.root ? {} : OF_ALL_THREADS), "?": () => open({ kind: "keys" }), Escape: back });
  const { view, id, query } = place();
  useEffect(() => window.scrollTo(0, 0), [view, id]);
  if (view === "thread") {
    return (
      <Frame alone>
        <ThreadView key={id} threadId={id} turnId={query.get("turn") ?? undefined} itemId={query.get("item") ?? undefined} />
      </Frame>
    );
  }
  if (view === "tree") {
    return (
      <Frame alone>
        <TreeView key={id} threadId={id} />
      </Frame>
    );
  }
  return <Frame>{view === "stats" ? <StatsView /> : <ListView running={view === "running"} />}</Frame>;
}

function Frame({ alone = false, children }: { alone?: boolean; children: ComponentChildren }) {
  return (
    <div class={alone ? "app alone" : "app"}>
      {!alone && <Topbar />}
      {!alone && <Sidebar />}
      <main class="main">
        <Lost />
        {children}
      </main>
    </div>
  );
}

function NotConnected({ why }: { why: string }) {
  return (
    <main class="empty">
      <h1>Threadstore is not connected</h1>
      <p role="alert">{why}</p>
    </main>
  );
}

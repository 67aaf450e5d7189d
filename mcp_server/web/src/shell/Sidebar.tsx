import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { canGrow, HostLink, inline } from "../link/host.ts";
import { link } from "../link/link.ts";
import { open } from "../parts/dialog.ts";
import { Brand, Icon, type IconName } from "../parts/Icon.tsx";
import { Glyph } from "../parts/State.tsx";
import { Swatch } from "../parts/Swatch.tsx";
import { projectOf } from "../parts/thread.ts";
import { wholeNumber } from "../parts/time.ts";
import { Menu } from "../parts/Menu.tsx";
import { go, href, route } from "../parts/route.ts";
import { counts, home, keepCounts, moreProjects, projects, tags, upkeep } from "./counts.ts";

const PROJECTS = 5;

/** The side bar of wide pages. */
export function Sidebar() {
  useEffect(keepCounts, []);
  const more = Math.max(0, projects.value.length - PROJECTS) + moreProjects.value;
  return (
    <nav class="side" aria-label="Views">
      <a class="brand" href={href("list")}>
        <Brand />
        threadstore
      </a>
      <Views />
      {projects.value.length > 0 && <h2>Projects</h2>}
      {projects.value.slice(0, PROJECTS).map((row) => (
        <Project key={row.key} folder={row.key ?? ""} count={row.threads ?? 0} />
      ))}
      {more > 0 && (
        <a class="nav more" href={href("stats")}>
          {wholeNumber(more)} more
        </a>
      )}
      {tags.value.length > 0 && <h2>Tags</h2>}
      {tags.value.map(({ key = "", threads = 0 }) => (
        <Nav key={key} to={href("list", "", { tag: key })} current={route.value.query.get("tag") === key} icon="tag">
          <span class="cut">{key}</span>
          <span class="figures">{wholeNumber(threads)}</span>
        </Nav>
      ))}
      {home.value && (
        <div class="store">
          <b class="cut">{home.value}</b>
          {upkeep.value}
        </div>
      )}
    </nav>
  );
}

function Views() {
  const { view, query } = route.value;
  const { threads, running, archived } = counts.value;
  const plain = view === "list" && !query.size;
  return (
    <>
      <Nav to={href("list")} current={plain} icon="list">
        Threads
        <Figure value={threads} />
      </Nav>
      <a class="nav" href={href("running")} aria-current={view === "running" ? "page" : undefined}>
        <Glyph state="running" label={false} />
        Running
        <Figure value={running} live />
      </a>
      <Nav to={href("stats")} current={view === "stats"} icon="stats">
        Statistics
      </Nav>
      <Nav to={href("list", "", { archived: "1" })} current={query.get("archived") === "1"} icon="archive">
        Archive
        <Figure value={archived} />
      </Nav>
    </>
  );
}

/** The bar at the top of medium and narrow pages. */
export function Topbar() {
  const { view, query } = route.value;
  const way = link.way;
  return (
    <nav class="topbar" aria-label="Views, compact">
      <a class="brand" href={href("list")} aria-label="threadstore">
        <Brand />
      </a>
      <a class="nav" href={href("list")} aria-current={view === "list" && !query.get("archived") ? "page" : undefined}>
        Threads
      </a>
      <a class="nav" href={href("running")} aria-current={view === "running" ? "page" : undefined}>
        Running
        <Figure value={counts.value.running} live />
      </a>
      <a class="nav" href={href("stats")} aria-current={view === "stats" ? "page" : undefined}>
        Statistics
      </a>
      <span class="grow" />
      {way instanceof HostLink && inline.value && canGrow.value && (
        <button type="button" class="button quiet square" aria-label="Full view" onClick={() => void way.grow()}>
          <Icon name="grow" />
        </button>
      )}
      <Menu
        label="More views"
        items={[
          { icon: "archive", label: "Archive", run: () => go("list", "", { archived: "1" }) },
          { icon: "agents", label: "Sub-agents", run: () => go("list", "", { agents: "1" }) },
          { icon: "list", label: "All keys", key: "?", run: () => open({ kind: "keys" }) },
        ]}
      />
    </nav>
  );
}

function Project({ folder, count }: { folder: string; count: number }) {
  const name = projectOf(folder);
  return (
    <a
      class="nav"
      href={href("list", "", { project: folder })}
      title={folder}
      aria-current={route.value.query.get("project") === folder ? "page" : undefined}
    >
      <Swatch project={name} />
      <span class="cut">{name}</span>
      <Figure value={count} />
    </a>
  );
}


interface NavProps {
  to: string;
  current: boolean;
  icon: IconName;
  children: ComponentChildren;
}

function Nav({ to, current, icon, children }: NavProps) {
  return (
    <a class="nav" href={to} aria-current={current ? "page" : undefined}>
      <Icon name={icon} />
      {children}
    </a>
  );
}

function Figure({ value, live }: { value: number | undefined; live?: boolean }) {
  if (value === undefined) return null;
  return <span class={live && value > 0 ? "figures live" : "figures"}>{wholeNumber(value)}</span>;
}

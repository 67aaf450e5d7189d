/** The numbers in the side bar: how many threads there are, run, are archived, by project and by tag. */

import { signal } from "@preact/signals";
import type { StatsRow } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { onEvents } from "../link/live.ts";
import { changes } from "../parts/changed.ts";
import { Soon } from "../parts/soon.ts";
import { counted } from "../parts/time.ts";
import { whenCalm } from "./start.ts";
import { storeStatus } from "./status.ts";

export interface Counts {
  threads?: number;
  archived?: number;
  running?: number;
  atLeast?: boolean;
}

export const counts = signal<Counts>({});
/** The folders that were worked in most. */
export const projects = signal<StatsRow[]>([]);
/** How many folders there are besides. */
export const moreProjects = signal(0);
export const tags = signal<StatsRow[]>([]);
export const home = signal<string | undefined>(undefined);
export const upkeep = signal<string>("");
/** Whether the home has an index on disk; nothing while that is not known. */
export const hasIndex = signal<boolean | undefined>(undefined);

const PAUSE_MS = 2_000;
/** Groups are counted from all turns, so not with each event. */
const GROUPS_MS = 60_000;
const NO_TAG = "(none)";
let groupedAt = -GROUPS_MS;

/** Loads the numbers, and again when something has happened. */
export function keepCounts(): () => void {
  void whenCalm().then(() => Promise.all([load(), loadGroups(), loadHome()]));
  const soon = new Soon(() => {
    void load();
    if (performance.now() - groupedAt > GROUPS_MS) void loadGroups();
  }, PAUSE_MS);
  const leave = [onEvents(() => soon.ask()), changes.subscribe((n) => n && void loadGroups().then(() => soon.ask()))];
  return () => {
    soon.stop();
    leave.forEach((one) => one());
  };
}

async function load(): Promise<void> {
  const [all, running] = await Promise.all([
    link.call("thread_list", { limit: 1 }),
    link.call("thread_list", { limit: 1, last_turn: ["running"] }),
  ]).catch(() => []);
  if (!all || !running) return;
  counts.value = {
    threads: all.total,
    archived: all.hidden?.archived ?? 0,
    running: running.total,
    atLeast: all.hidden?.are_minimums ?? false,
  };
}

async function loadGroups(): Promise<void> {
  groupedAt = performance.now();
  const [byFolder, byTag] = await Promise.all([
    link.call("thread_stats", { group_by: "cwd", archived: false, limit: 50 }),
    link.call("thread_stats", { group_by: "tag", archived: false, limit: 20 }),
  ]).catch(() => []);
  projects.value = byFolder?.data ?? [];
  moreProjects.value = byFolder?.more_groups ?? 0;
  tags.value = (byTag?.data ?? []).filter((row) => row.key && row.key !== NO_TAG);
}

async function loadHome(): Promise<void> {
  const status = await storeStatus().catch(() => undefined);
  if (!status) return;
  home.value = status.home;
  hasIndex.value = Boolean(status.state_db);
  const faults = (status.missing?.length ?? 0) + (status.stale?.length ?? 0);
  upkeep.value = faults ? `Index differs from ${counted(faults, "file")}` : "Index agrees with the files";
}

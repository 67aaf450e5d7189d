/** What the tools answer. A field that is absent is empty, false or unknown; times are RFC 3339. */

export type TurnState = "completed" | "failed" | "interrupted" | "running" | "crashed";
export type TurnStatus = "completed" | "failed" | "interrupted" | "inProgress" | "crashed";
export type RuntimeStatus = "notLoaded" | "idle" | "active" | "systemError" | "missing";

/** Full lengths of the texts that were cut, by their path. */
export type Truncated = Record<string, number>;

export interface Page {
  next_cursor?: string;
  /** How to see what was cut. */
  rest?: string;
}

export interface TokenUsage {
  input?: number;
  /** Of the input, from the cache. */
  cached?: number;
  output?: number;
  /** Of the output, reasoning. */
  reasoning?: number;
}

export interface ThreadTokens extends TokenUsage {
  /** Tokens that the last request took of the context window. */
  window?: number;
  window_size?: number;
}

/** A row of a concise answer. */
export interface ThreadRow {
  id: string;
  name?: string;
  first_message?: string;
  last_answer?: string;
  cwd?: string;
  branch?: string;
  worked_at: string;
  turns?: number;
  last_turn?: TurnState;
  last_error?: string;
  running_in?: string;
  status?: RuntimeStatus;
  parent_thread_id?: string;
  nickname?: string;
  archived?: boolean;
  forked_from_id?: string;
  attached_to_thread_id?: string;
  ephemeral?: boolean;
  section?: { id: string; name: string };
  tags?: string[];
}

/** The thread of a detailed answer. */
export interface DetailedThread {
  id: string;
  session_id?: string;
  name?: string;
  preview?: string;
  last_answer?: string;
  cwd?: string;
  path?: string;
  git_info?: { sha?: string; branch?: string; origin_url?: string };
  created_at: string;
  updated_at: string;
  recency_at: string;
  model?: string;
  model_provider?: string;
  reasoning_effort?: string;
  source?: unknown;
  originator?: string;
  cli_version?: string;
  history_mode?: string;
  turn_count?: number;
  /** In a list: how many threads are below it. */
  sub_agents?: number;
  last_turn?: TurnState;
  last_error?: string;
  running_in?: string;
  status?: RuntimeStatus;
  parent_thread_id?: string;
  agent_nickname?: string;
  agent_role?: string;
  archived?: boolean;
  forked_from_id?: string;
  attached_to_thread_id?: string;
  ephemeral?: boolean;
  section?: { id: string; name: string };
  tags?: string[];
}

export type AnyThread = ThreadRow | DetailedThread;

export interface Hidden {
  sub_agents?: number;
  archived?: number;
  attached?: number;
  without_preview?: number;
  duplicates?: number;
  file_missing?: number;
  unreadable?: number;
  are_minimums?: boolean;
}

export interface ThreadList extends Page {
  data?: AnyThread[];
  total: number;
  total_is_minimum?: boolean;
  hidden?: Hidden;
  /** While the index is being built: how far it is. */
  incomplete?: string;
  note?: string;
}

/** An item of a turn. Which fields it has depends on its type. */
export interface Item {
  type: string;
  id: string;
  started_at?: string;
  completed_at?: string;
  truncated?: Truncated;
  left_out?: Record<string, number>;
  [field: string]: unknown;
}

export interface TurnError {
  message?: string;
  codex_error_info?: unknown;
  additional_details?: string;
}

export interface Turn {
  id: string;
  status: TurnStatus;
  error?: TurnError;
  items?: Item[];
  items_view?: "notLoaded" | "summary" | "full";
  started_at?: string;
  completed_at?: string;
  duration_ms?: number;
  tokens?: TokenUsage;
  truncated?: Truncated;
  left_out?: Record<string, number>;
}

export interface ThreadRead extends Page {
  thread: AnyThread;
  turns?: Turn[];
  total?: number;
  tokens?: ThreadTokens;
}

export interface ItemEntry {
  /** Whole the first time, then its beginning. */
  turn_id: string;
  item: Item;
}

export interface Items extends Page {
  thread_id: string;
  data?: ItemEntry[];
  total: number;
}

export interface OutlineEntry {
  turn_id: string;
  at?: string;
  text?: string;
  chars?: number;
  status?: TurnStatus;
}

export interface Outline extends Page {
  thread_id: string;
  data?: OutlineEntry[];
  total: number;
}

export interface TreeNode {
  thread_id: string;
  parent_thread_id?: string;
  depth?: number;
  nickname?: string;
  role?: string;
  title?: string;
  status?: RuntimeStatus;
  turns?: number;
  tokens?: TokenUsage;
  last_turn?: TurnState;
  running_in?: string;
  archived?: boolean;
  edge?: "open" | "closed";
}

export interface Fork {
  thread_id: string;
  forked_from_id: string;
  title?: string;
  archived?: boolean;
}

export interface Tree extends Page {
  thread_id: string;
  root_thread_id: string;
  nodes?: TreeNode[];
  total: number;
  forks?: Fork[];
  tokens?: TokenUsage;
}

export interface Passage {
  turn_id?: string;
  item_id?: string;
  /** The match stands between ** and **. */
  text: string;
  /** Where these ** stand, in code points, if the text has others too. */
  signs?: number[];
}

export interface SearchRow {
  thread: AnyThread;
  passages?: Passage[];
  missing?: string[];
}

export interface Search extends Page {
  data?: SearchRow[];
  total?: number;
  notes?: string[];
  incomplete?: string[];
  no_match?: {
    words?: { word: string; threads?: number; nearest?: string[] }[];
    elsewhere?: Record<string, number>;
  };
}

export interface CascadeReceipt {
  operation_id?: string;
  dry_run?: boolean;
  failed?: { thread_id: string; reason: string }[];
  interrupted?: string[];
  titles?: { id: string; title: string }[];
  copies?: string[];
  codex_db?: string;
  /** In a dry run: what the call itself needs besides. */
  needs?: string;
  left_out?: Record<string, number>;
}

export interface Archived extends CascadeReceipt {
  archived?: string[];
  already_archived?: string[];
}

export interface Unarchived extends CascadeReceipt {
  thread?: AnyThread;
  unarchived?: string[];
  already_unarchived?: string[];
}

export interface Deleted extends CascadeReceipt {
  deleted?: string[];
  already_gone?: string[];
}

export interface Updated {
  thread: AnyThread;
  codex_db?: string;
}

export interface EventRow {
  seq: number;
  at: string;
  type: string;
  thread_id: string;
  payload?: Record<string, unknown>;
}

export interface Events {
  data?: EventRow[];
  last_seq?: number;
  more?: boolean;
}

export interface StatsRow {
  key?: string;
  threads?: number;
  turns?: number;
  failed?: number;
  interrupted?: number;
  tokens?: TokenUsage;
}

export interface Stats {
  group_by: string;
  data?: StatsRow[];
  total: StatsRow;
  more_groups?: number;
  zone?: string;
  incomplete?: string[];
}

export interface StoreStatus {
  home: string;
  notes?: string[];
  versions?: Record<string, string>;
  state_db?: string;
  backfill?: Record<string, unknown>;
  counts?: Record<string, number>;
  missing?: string[];
  stale?: string[];
  duplicates?: string[];
  malformed?: { path: string; offset?: number; reason: string }[];
  left_out?: Record<string, number>;
  loaded?: number;
}

/** The answer of each tool that the page calls. */
export interface Answers {
  thread_list: ThreadList;
  thread_read: ThreadRead;
  thread_items: Items;
  thread_outline: Outline;
  thread_tree: Tree;
  thread_search: Search;
  thread_stats: Stats;
  thread_update: Updated;
  thread_archive: Archived;
  thread_unarchive: Unarchived;
  thread_delete: Deleted;
  events_read: Events;
  store_status: StoreStatus;
}

export type ToolName = keyof Answers;

import { useEffect, useState } from "preact/hooks";
import type { ThreadTokens } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { Icon } from "../parts/Icon.tsx";
import { href } from "../parts/route.ts";
import { stateOf, type ThreadFacts } from "../parts/thread.ts";
import { counted, short, wholeNumber, wholeTime } from "../parts/time.ts";
import { CopyButton } from "./CopyButton.tsx";
import { Damage } from "./Damage.tsx";

/** What is known of a thread, beside its conversation. */
export function Facts({ thread, tokens }: { thread: ThreadFacts; tokens: ThreadTokens | undefined }) {
  return (
    <aside class="facts" aria-label="About this thread" tabIndex={0}>
      <Context tokens={tokens} />
      <Tokens tokens={tokens} />
      <section>
        <h2>Recorded</h2>
        <dl>
          <Fact name="Model" value={thread.model} code />
          <Fact name="Effort" value={thread.effort} />
          <Fact name="Folder" value={thread.cwd} code />
          <Fact name="Branch" value={thread.branch} code />
          <Fact name="Used" value={wholeTime(thread.workedAt)} />
          <Fact name="Open in" value={thread.runningIn} />
          <Fact name="Exported" value={link.way.madeAt && wholeTime(link.way.madeAt)} />
          <Fact name="Role" value={[thread.nickname, thread.role].filter(Boolean).join(", ")} />
          <dt>Thread</dt>
          <dd class="thread-id">
            <code class="cut">{thread.id}</code>
            <CopyButton label="Copy the thread's id" text={async () => thread.id} />
          </dd>
          <Lead name="Parent" id={thread.parentId} />
          <Lead name="Fork of" id={thread.forkedFromId} />
          <Lead name="Goes on" id={thread.attachedToId} />
        </dl>
      </section>
      <Agents thread={thread} />
      <Damage thread={thread} />
    </aside>
  );
}

/** How full the context window is. */
export function Context({ tokens, line = false }: { tokens: ThreadTokens | undefined; line?: boolean }) {
  const { window, window_size: size } = tokens ?? {};
  if (window === undefined || !size) return null;
  const part = Math.min(100, Math.round((100 * window) / size));
  const meter = (
    <div class="meter" role="meter" aria-label="Context window" aria-valuenow={window} aria-valuemin={0} aria-valuemax={size}>
      <i class={part > 90 ? "is-full" : undefined} style={{ width: `${part}%` }} />
    </div>
  );
  if (line) {
    return (
      <>
        <span class="figures">
          {short(window)} of {short(size)}
        </span>
        {meter}
      </>
    );
  }
  return (
    <section>
      <h2>Context window</h2>
      <p class="legend">
        <span class="big figures">{short(window)}</span>
        <span class="figures faint">
          of {short(size)}, {part}%
        </span>
      </p>
      {meter}
    </section>
  );
}

function Tokens({ tokens }: { tokens: ThreadTokens | undefined }) {
  const { input = 0, cached = 0, output = 0 } = tokens ?? {};
  const sum = input + output;
  if (!sum) return null;
  const parts = [
    { name: "Read from cache", kind: "cache", value: cached },
    { name: "Read anew", kind: "anew", value: input - cached },
    { name: "Written", kind: "written", value: output },
  ];
  return (
    <section>
      <h2>Tokens in all turns</h2>
      <p class="big figures" title={wholeNumber(sum)}>
        {short(sum)}
      </p>
      <div class="meter parts" aria-hidden="true">
        {parts.map(({ kind, value }) => (
          <i key={kind} class={`is-${kind}`} style={{ width: `${(100 * value) / sum}%` }} />
        ))}
      </div>
      {parts.map(({ name, kind, value }) => (
        <p key={kind} class="legend">
          <span>
            <i class={`swatch is-${kind}`} />
            {name}
          </span>
          <span class="figures" title={wholeNumber(value)}>
            {short(value)}
          </span>
        </p>
      ))}
    </section>
  );
}

function Fact({ name, value, code = false }: { name: string; value: string | undefined; code?: boolean }) {
  if (!value) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd title={value}>{code ? <code class="cut">{value}</code> : value}</dd>
    </>
  );
}

function Lead({ name, id }: { name: string; id: string | undefined }) {
  if (!id) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {link.holds(id) ? (
          <a class="link mono" href={href("thread", id)}>
            {id.slice(0, 13)}
          </a>
        ) : (
          <code class="cut">{id.slice(0, 13)}</code>
        )}
      </dd>
    </>
  );
}

/** How many sub-agents are below the thread, and how many of them run. */
function Agents({ thread }: { thread: ThreadFacts }) {
  const [below, setBelow] = useState<{ all: number; running: number }>();
  useEffect(() => {
    const args = { ancestor_thread_id: thread.id, limit: 1 };
    Promise.all([link.call("thread_list", args), link.call("thread_list", { ...args, last_turn: ["running"] })]).then(
      ([all, running]) => setBelow({ all: all.total, running: running.total }),
      () => undefined,
    );
  }, [thread.id, thread.workedAt.getTime(), stateOf(thread)]);
  if (!below?.all) return null;
  return (
    <section>
      <h2>Sub-agents</h2>
      <a class="button wide" href={href("tree", thread.id)}>
        <Icon name="agents" />
        {counted(below.all, "below", "below")}
        {below.running > 0 && `, ${below.running} running`}
        <span class="grow" />
        <kbd>T</kbd>
      </a>
    </section>
  );
}

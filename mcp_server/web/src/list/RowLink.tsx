import { Component, type JSX } from "preact";
import { href } from "../parts/route.ts";
import { Icon } from "../parts/Icon.tsx";
import { Glyph, Word } from "../parts/State.tsx";
import { Swatch } from "../parts/Swatch.tsx";
import { projectOf, stateOf, titleOf } from "../parts/thread.ts";
import { age, counted, when, wholeNumber, wholeTime } from "../parts/time.ts";
import { placeIn, type Row } from "./listing.ts";
import { marked } from "./marked.tsx";

interface Props {
  row: Row;
  live?: boolean;
  /** What a running thread does now. */
  now?: JSX.Element | string | undefined;
  chosen?: boolean;
  id?: string;
  /** Which of how many it is, from 1. */
  place?: number;
  of?: number | undefined;
}

/** A thread in a list. It is an option of its list box, and a link for those who open it in another tab. It is
 * drawn again only if what it shows has changed: a list draws its rows on each step of a scroll. */
export class RowLink extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    return (Object.keys(next) as (keyof Props)[]).some((name) => next[name] !== this.props[name]);
  }

  override render() {
    return drawRow(this.props);
  }
}

function drawRow({ row, live = false, now, chosen = false, id, place, of }: Props) {
  const { thread, passages } = row;
  const state = stateOf(thread);
  const passage = passages?.[0];
  const preview = passage ? hitsOf(row) : thread.name ? thread.preview : thread.lastAnswer;
  return (
    <a
      id={id}
      class={`row${live ? " is-live" : ""}${passage ? " is-hit" : ""}`}
      href={href("thread", thread.id, placeIn(row))}
      role="option"
      tabIndex={-1}
      aria-selected={chosen}
      aria-posinset={place}
      aria-setsize={of}
    >
      <Glyph state={state} />
      <span class="row-title">
        <b class="cut">{titleOf(thread)}</b>
        <Word state={state} />
        <span class="preview cut">{preview}</span>
      </span>
      <span class="row-tags">
        {thread.tags.slice(0, 2).map((tag) => (
          <span class="chip" key={tag}>
            {tag}
          </span>
        ))}
        {thread.tags.length > 2 && <span class="chip">+{thread.tags.length - 2}</span>}
      </span>
      <span class="row-agents figures" title={thread.subAgents ? counted(thread.subAgents, "sub-agent") : undefined}>
        {thread.subAgents !== undefined && (
          <>
            <Icon name="agents" label="Sub-agents" />
            {wholeNumber(thread.subAgents)}
          </>
        )}
      </span>
      <span class="row-project">
        {thread.cwd && <Swatch project={projectOf(thread.cwd)} />}
        <span class="cut" title={thread.cwd}>
          {projectOf(thread.cwd)}
        </span>
      </span>
      <span class="row-turns figures">{thread.turns === undefined ? "" : counted(thread.turns, "turn")}</span>
      <time class="row-time figures" dateTime={thread.workedAt.toISOString()} title={wholeTime(thread.workedAt)}>
        {live ? age(thread.workedAt) : when(thread.workedAt)}
      </time>
      {live && now && <span class="row-now cut">{now}</span>}
      {passage && <span class="row-passage">{marked(passage)}</span>}
    </a>
  );
}

function hitsOf({ passages = [] }: Row): string {
  return passages.length > 1 ? `${passages.length} places` : "";
}

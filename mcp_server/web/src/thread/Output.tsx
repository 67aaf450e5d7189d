import { useEffect, useState } from "preact/hooks";
import { characters } from "../parts/characters.ts";
import { useKeys } from "../parts/keys.ts";
import { wholeNumber } from "../parts/time.ts";
import { CopyButton } from "./CopyButton.tsx";
import { PIECE, piece, type Place, whole } from "./texts.ts";

const LINES = 200;
const TROUBLE = /\b(?:FAILED|FAIL|ERROR|FATAL|Traceback|panicked)\b|^E {3}|\berror(?:\[|:)|\w(?:Error|Exception):/;

interface Props {
  place: Place;
  text: string;
  /** The full length, if the text was cut. */
  length: number | undefined;
  /** A failed call is opened at the end of what it said. */
  failed: boolean;
}

/** What a call said, by page: by lines where the text is whole, else by characters. */
export function Output({ place, text, length, failed }: Props) {
  return length === undefined ? <Lines text={plain(text)} failed={failed} /> : <Pieces {...{ place, text, length, failed }} />;
}

function Lines({ text, failed }: { text: string; failed: boolean }) {
  const lines = text.replace(/\n$/, "").split("\n");
  const last = Math.max(0, lines.length - LINES);
  const [first, setFirst] = useState(failed ? last : 0);
  const end = Math.min(lines.length, first + LINES);
  const turn = (to: number) => setFirst(Math.max(0, Math.min(last, to)));
  return (
    <div class="output">
      <pre tabIndex={0} role="group" aria-label="Output" ref={failed ? toEnd : undefined}>
        {lines.slice(first, end).map((line, n) => (
          <span key={first + n} class={failed && TROUBLE.test(line) ? "line trouble" : "line"}>
            <span class="line-number" aria-hidden="true">
              {wholeNumber(first + n + 1)}
            </span>
            {line || " "}
          </span>
        ))}
      </pre>
      {lines.length > LINES ? (
        <Pager what="Lines" first={first} end={end} of={lines.length} step={LINES} turn={turn} copy={async () => text} />
      ) : (
        <div class="pager">
          <span class="grow" />
          <CopyButton label="Copy output" text={async () => text} />
        </div>
      )}
    </div>
  );
}

function Pieces({ place, text, length, failed }: Props & { length: number }) {
  const [shown, setShown] = useState({ first: 0, text });
  const [fault, setFault] = useState("");
  const last = Math.max(0, length - PIECE);
  const turn = (to: number) => {
    const first = Math.max(0, Math.min(last, to));
    piece(place, first).then(
      (found) => setShown({ first, text: found }),
      (error: Error) => setFault(error.message),
    );
  };
  useEffect(() => turn(failed ? last : 0), [place.itemId, place.path, length]);
  const end = Math.min(length, shown.first + characters(shown.text));
  return (
    <div class="output">
      <pre key={shown.first} tabIndex={0} role="group" aria-label="Output" ref={failed && shown.first === last ? toEnd : undefined}>
        {plain(shown.text).split("\n").map((line, n) => (
          <span key={n} class={failed && TROUBLE.test(line) ? "line trouble" : "line"}>
            {line || " "}
          </span>
        ))}
      </pre>
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <Pager what="Characters" first={shown.first} end={end} of={length} step={PIECE} turn={turn} copy={() => whole(place, length)} />
    </div>
  );
}

interface PagerProps {
  what: string;
  first: number;
  end: number;
  of: number;
  step: number;
  turn: (to: number) => void;
  copy: () => Promise<string>;
}

function Pager({ what, first, end, of, step, turn, copy }: PagerProps) {
  useKeys({ "[": () => turn(first - step), "]": () => end < of && turn(end) });
  const place = { left: `${(100 * first) / of}%`, width: `${Math.max(2, (100 * (end - first)) / of)}%` };
  return (
    <div class="pager">
      <span class="figures">
        {what} {wholeNumber(first + 1)} to {wholeNumber(end)} of {wholeNumber(of)}
      </span>
      <span class="track" aria-hidden="true">
        <i style={place} />
      </span>
      <button type="button" class="button quiet small" disabled={first === 0} onClick={() => turn(0)}>
        First
      </button>
      <button type="button" class="button quiet small" disabled={first === 0} onClick={() => turn(first - step)}>
        Previous
      </button>
      <button type="button" class="button quiet small" disabled={end >= of} onClick={() => turn(end)}>
        Next
      </button>
      <button type="button" class="button quiet small" disabled={end >= of} onClick={() => turn(of)}>
        Last
      </button>
      <CopyButton label="Copy output" text={copy} />
    </div>
  );
}

/** The text without the codes by which terminals colour it. */
function plain(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, "");
}

function toEnd(element: HTMLElement | null): void {
  if (element) element.scrollTop = element.scrollHeight;
}

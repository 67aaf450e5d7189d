import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Passage } from "../link/answers.ts";
import { link } from "../link/link.ts";
import { marked } from "../list/marked.tsx";
import { Icon } from "../parts/Icon.tsx";
import { counted } from "../parts/time.ts";

const PAUSE_MS = 200;
const MOST = 50;

interface Props {
  threadId: string;
  jump: (turnId: string, itemId?: string) => void;
  close: () => void;
}

/** Finds words in one thread, tool calls too, and goes to where they stand. */
export function Find({ threadId, jump, close }: Props) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Passage[]>();
  const [fault, setFault] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => field.current?.focus(), []); // before the next key, which would act on the thread
  useEffect(() => {
    setFault("");
    if (!text.trim()) return setFound(undefined);
    const stop = new AbortController();
    const timer = setTimeout(() => {
      const args = { search_term: text, thread_id: threadId, include_tool_calls: true, limit: MOST, response_format: "detailed" };
      link.call("thread_search", args, stop.signal).then(
        (answer) => setFound(answer.data?.[0]?.passages ?? []),
        (error: Error) => !stop.signal.aborted && setFault(error.message),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text, threadId]);
  const key = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    close();
  };
  const places = (found ?? []).filter((passage) => passage.turn_id);
  return (
    <div class="find" role="search" onKeyDown={key}>
      <div class="search">
        <Icon name="search" />
        <input
          ref={field}
          type="search"
          aria-label="Find in this thread"
          placeholder="Find in this thread"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && places[0]?.turn_id && jump(places[0].turn_id, places[0].item_id)}
        />
        <span class="faint figures" role="status">
          {found && counted(found.length, "place")}
        </span>
        <button type="button" class="faint" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {places.length > 0 && (
        <ul class="places" aria-label="Places">
          {places.map((passage) => (
            <li key={`${passage.item_id}${passage.text}`}>
              <button type="button" onClick={() => passage.turn_id && jump(passage.turn_id, passage.item_id)}>
                {marked(passage)}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

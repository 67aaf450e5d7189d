import { useEffect, useState } from "preact/hooks";
import { link } from "../link/link.ts";
import type { Unarchived } from "../link/answers.ts";
import { Modal } from "../parts/Modal.tsx";
import { sentenceOf } from "../parts/sentence.ts";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { counted, wholeNumber } from "../parts/time.ts";
import { Failures, Problem } from "./Failures.tsx";
import { bringBack } from "./undo.ts";
import { countOf } from "./words.ts";

interface Props {
  threads: ThreadFacts[];
  close: () => void;
}

/** Asks to bring an archived thread back, with the agents that were archived with it. */
export function UnarchiveDialog({ threads: [thread], close }: Props) {
  const [plan, setPlan] = useState<Unarchived>();
  const [problem, setProblem] = useState("");
  const id = thread?.id ?? "";
  useEffect(() => {
    const stop = new AbortController();
    link.call("thread_unarchive", { thread_id: id, dry_run: true }, stop.signal).then(setPlan, (error: unknown) => {
      if (!stop.signal.aborted) setProblem(sentenceOf(error));
    });
    return () => stop.abort();
  }, []);
  if (!thread) return null;
  const count = plan ? countOf(plan, "unarchived") : 0;
  return (
    <Modal
      title={count > 1 ? `Bring back this thread and ${counted(count - 1, "sub-agent")}?` : "Bring back this thread?"}
      close={close}
    >
      <p class="lead">The files move back to where they were before they were archived. Nothing starts to run.</p>
      {problem && <Problem>{problem}</Problem>}
      {!plan && !problem && <p class="waiting">Looking at what would happen…</p>}
      {plan && <BackList plan={plan} thread={thread} />}
      <footer>
        <span class="grow">{plan ? "Dry run. Nothing has changed yet." : ""}</span>
        <button type="button" class="button large" autoFocus onClick={close}>
          Cancel <kbd class="not-narrow">Esc</kbd>
        </button>
        <button
          type="button"
          class="button large first"
          disabled={!count}
          onClick={() => {
            close();
            void bringBack({ thread_id: id });
          }}
        >
          {count ? `Bring back ${wholeNumber(count)}` : "Bring back"}
        </button>
      </footer>
    </Modal>
  );
}

const MOST_ROWS = 100;

function BackList({ plan, thread }: { plan: Unarchived; thread: ThreadFacts }) {
  const titles = plan.titles ?? [{ id: thread.id, title: titleOf(thread) }];
  const left = countOf(plan, "unarchived") - Math.min(titles.length, MOST_ROWS);
  return (
    <>
      <ul class="plan" tabIndex={0} aria-label="What would happen">
        {titles.slice(0, MOST_ROWS).map((one) => (
          <li class="plan-row" key={one.id}>
            <span class="cut grow">{one.title}</span>
            <span class="fate">move back</span>
          </li>
        ))}
        {left > 0 && <li class="plan-row faint">and {wholeNumber(left)} more</li>}
      </ul>
      {plan.failed && <Failures failed={plan.failed} lead="Would be passed over" />}
    </>
  );
}

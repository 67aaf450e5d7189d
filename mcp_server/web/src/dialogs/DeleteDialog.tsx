import { useEffect, useRef, useState } from "preact/hooks";
import { link } from "../link/link.ts";
import type { Deleted } from "../link/answers.ts";
import { changed } from "../parts/changed.ts";
import { open } from "../parts/dialog.ts";
import { Modal } from "../parts/Modal.tsx";
import { go, route } from "../parts/route.ts";
import { sentenceOf } from "../parts/sentence.ts";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { counted, wholeNumber } from "../parts/time.ts";
import { toast } from "../parts/toast.tsx";
import { Failures, Problem } from "./Failures.tsx";
import { outcome } from "./outcome.ts";
import { naming } from "./plan.ts";
import { countOf, newRequestId, readable } from "./words.ts";

interface Props {
  threads: ThreadFacts[];
  close: () => void;
}

/** Asks to delete threads for good: the name wants to be typed, and the archive is offered instead. */
export function DeleteDialog({ threads, close }: Props) {
  const [typed, setTyped] = useState("");
  const { plan, problem, working, receipt, remove } = useDeleting(threads, close);
  const phrase = phraseOf(threads);
  const agreed = plan !== undefined && countOf(plan, "deleted") > 0 && same(typed, phrase);
  if (receipt) return <PartlyDeleted receipt={receipt} close={close} />;
  return (
    <Modal
      title={`Delete ${threads.length > 1 ? counted(threads.length, "thread") : "this thread"} for good?`}
      close={close}
      class="slim"
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (agreed && !working) void remove();
        }}
      >
        <p class="lead">{leadOf(threads, plan)}</p>
        {problem && <Problem>{problem}</Problem>}
        <label class="field">
          <span>
            Type <b>{phrase}</b> to go on
          </span>
          <input
            autoFocus
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        {plan?.failed && <Failures failed={plan.failed} lead="Would be passed over" />}
        <footer>
          <span class="grow" />
          <button type="button" class="button large" onClick={() => open({ kind: "archive", threads })}>
            Archive instead
          </button>
          <button type="button" class="button large" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button large danger" disabled={!agreed || working}>
            {working ? "Deleting…" : `Delete ${plan ? counted(countOf(plan, "deleted"), "thread") : ""}`}
          </button>
        </footer>
      </form>
    </Modal>
  );
}

function useDeleting(threads: ThreadFacts[], close: () => void) {
  const [plan, setPlan] = useState<Deleted>();
  const [problem, setProblem] = useState("");
  const [working, setWorking] = useState(false);
  const [receipt, setReceipt] = useState<Deleted>();
  const requestId = useRef(newRequestId());

  useEffect(() => {
    const stop = new AbortController();
    const dryRun = { ...naming(threads), dry_run: true, interrupt_running: true };
    link.call("thread_delete", dryRun, stop.signal).then(setPlan, (error: unknown) => {
      if (!stop.signal.aborted) setProblem(sentenceOf(error));
    });
    return () => stop.abort();
  }, []);

  async function remove() {
    setWorking(true);
    setProblem("");
    const args = {
      ...naming(threads),
      confirm_thread_ids: threads.map((thread) => thread.id),
      interrupt_running: plan !== undefined && countOf(plan, "interrupted") > 0,
      request_id: requestId.current,
    };
    try {
      const answer = await link.call("thread_delete", args);
      changed();
      tell(answer);
      leave(threads);
      if (answer.failed?.length) setReceipt(answer);
      else close();
    } catch (error) {
      requestId.current = newRequestId();
      setProblem(sentenceOf(error));
    } finally {
      setWorking(false);
    }
  }

  return { plan, problem, working, receipt, remove };
}

/** The view of a thread that is gone makes room for the list. */
function leave(threads: ThreadFacts[]): void {
  if (threads.some((thread) => thread.id === route.value.id)) go("list");
}

function tell(answer: Deleted): void {
  const title = `Deleted ${counted(countOf(answer, "deleted"), "thread")}`;
  const stopped = countOf(answer, "interrupted");
  toast({
    text: `${title}.`,
    ...(stopped && { dim: `${counted(stopped, "was", "were")} stopped.` }),
    more: { label: "Receipt", run: () => (outcome.value = { title, receipt: readable(title, answer) }) },
  });
}

function leadOf(threads: ThreadFacts[], plan?: Deleted): string {
  const one = threads.length === 1;
  const below = plan ? Math.max(0, countOf(plan, "deleted") - threads.length) : 0;
  const files = one ? "Its file" : "Their files";
  const more = below ? ` and the files of ${one ? "its" : "their"} ${counted(below, "sub-agent")}` : "";
  const verb = one && !below ? "is" : "are";
  const stops = plan ? countOf(plan, "interrupted") : 0;
  const working = stops
    ? ` ${wholeNumber(stops)} of them ${stops === 1 ? "is" : "are"} working and will be stopped first.`
    : "";
  const it = one && !below ? "it" : "them";
  const gone = `${files}${more} ${verb} removed from this machine.${working} There is no undo.`;
  return `${gone} To keep ${it} out of sight instead, archive ${it}.`;
}

const PHRASE_CHARS = 32;

/** What to type: the name; of a thread without one the beginning of its title; of several their number. */
function phraseOf(threads: ThreadFacts[]): string {
  const [thread] = threads;
  if (!thread || threads.length > 1) return `delete ${threads.length} threads`;
  const title = plain(titleOf(thread));
  if (thread.name || title.length <= PHRASE_CHARS) return title;
  return title.slice(0, PHRASE_CHARS).replace(/\s\S*$/, "");
}

function same(typed: string, phrase: string): boolean {
  return plain(typed) === plain(phrase);
}

function plain(text: string): string {
  return text.normalize("NFC").replace(/\s+/g, " ").trim();
}

function PartlyDeleted({ receipt, close }: { receipt: Deleted; close: () => void }) {
  const failed = receipt.failed ?? [];
  const deleted = wholeNumber(countOf(receipt, "deleted"));
  return (
    <Modal title={`Deleted ${deleted}, passed over ${wholeNumber(failed.length)}`} close={close}>
      <p class="lead">What was passed over is unchanged and where it was.</p>
      <Failures failed={failed} />
      <footer>
        <span class="grow" />
        <button type="button" class="button large first" autoFocus onClick={close}>
          Close
        </button>
      </footer>
    </Modal>
  );
}

import { useEffect, useRef, useState } from "preact/hooks";
import { link } from "../link/link.ts";
import type { Archived } from "../link/answers.ts";
import { changed } from "../parts/changed.ts";
import { Modal } from "../parts/Modal.tsx";
import { sentenceOf } from "../parts/sentence.ts";
import type { ThreadFacts } from "../parts/thread.ts";
import { counted, wholeNumber } from "../parts/time.ts";
import { toast } from "../parts/toast.tsx";
import { Failures, type Names, Problem } from "./Failures.tsx";
import { outcome } from "./outcome.ts";
import { naming, type Plan, planArchive } from "./plan.ts";
import { PlanList, PlanSum } from "./PlanList.tsx";
import { undoOf } from "./undo.ts";
import { countOf, newRequestId, readable } from "./words.ts";

interface Props {
  threads: ThreadFacts[];
  close: () => void;
}

/** Asks to archive threads: first what would happen, then the work, then what was passed over, if anything. */
export function ArchiveDialog({ threads, close }: Props) {
  const { plan, problem, working, receipt, archive } = useArchiving(threads, close);
  if (receipt) return <PartlyArchived receipt={receipt} names={plan?.names} close={close} />;
  const stopped = plan?.stops ? " Work that is stopped stays stopped." : "";
  return (
    <Modal title={titleOf(threads, plan)} close={close}>
      <p class="lead">Files move to the archive; nothing is deleted. Undo brings all of them back.{stopped}</p>
      {problem && <Problem>{problem}</Problem>}
      {plan ? <PlanList plan={plan} /> : !problem && <p class="waiting">Looking at what would happen…</p>}
      {plan && <PlanSum plan={plan} />}
      <footer>
        <span class="grow">{plan ? "Dry run. Nothing has changed yet." : ""}</span>
        <Buttons plan={plan} working={working} close={close} archive={archive} />
      </footer>
    </Modal>
  );
}

function useArchiving(threads: ThreadFacts[], close: () => void) {
  const [plan, setPlan] = useState<Plan>();
  const [problem, setProblem] = useState("");
  const [working, setWorking] = useState(false);
  const [receipt, setReceipt] = useState<Archived>();
  const [looks, setLooks] = useState(0);
  const requestId = useRef(newRequestId());

  useEffect(() => {
    const stop = new AbortController();
    setPlan(undefined);
    planArchive(threads, stop.signal).then(setPlan, (error: unknown) => {
      if (!stop.signal.aborted) setProblem((told) => told || sentenceOf(error));
    });
    return () => stop.abort();
  }, [looks]);

  async function archive(agreed: Plan) {
    setWorking(true);
    setProblem("");
    // Work that began after the dry run is not stopped unasked: the call is refused, and the dry run made anew.
    const args = { ...naming(threads), interrupt_running: agreed.stops > 0, request_id: requestId.current };
    try {
      const answer = await link.call("thread_archive", args);
      changed();
      tell(answer);
      if (answer.failed?.length) setReceipt(answer);
      else close();
    } catch (error) {
      requestId.current = newRequestId();
      setProblem(`${sentenceOf(error)} Below is how it stands now.`);
      setLooks(looks + 1);
    } finally {
      setWorking(false);
    }
  }

  return { plan, problem, working, receipt, archive };
}

function tell(answer: Archived): void {
  const [moved, stopped] = [countOf(answer, "archived"), countOf(answer, "interrupted")];
  const before = countOf(answer, "already_archived");
  const title = `Archived ${counted(moved, "thread")}`;
  const more = [
    stopped ? `${counted(stopped, "was", "were")} stopped` : "",
    before ? `${counted(before, "was", "were")} archived before` : "",
    answer.failed?.length ? `${counted(answer.failed.length, "was", "were")} passed over` : "",
    answer.codex_db ? "Codex does not see it yet" : "",
  ].filter(Boolean);
  const undo = undoOf(answer);
  toast({
    text: `${title}.`,
    ...(more.length && { dim: `${more.join(", ")}.` }),
    ...(undo && { undo }),
    more: { label: "Receipt", run: () => (outcome.value = { title, receipt: readable(title, answer) }) },
  });
}

function titleOf(threads: ThreadFacts[], plan?: Plan): string {
  const many = threads.length > 1;
  const what = many ? counted(threads.length, "thread") : "this thread";
  if (!plan?.subAgents) return `Archive ${what}?`;
  return `Archive ${what} and ${many ? "their" : "its"} ${counted(plan.subAgents, "sub-agent")}?`;
}

interface ButtonsProps {
  plan: Plan | undefined;
  working: boolean;
  close: () => void;
  archive: (agreed: Plan) => Promise<void>;
}

/** The focus is on Cancel if work would stop, else on the button that archives. */
function Buttons({ plan, working, close, archive }: ButtonsProps) {
  const cancel = useRef<HTMLButtonElement>(null);
  const go = useRef<HTMLButtonElement>(null);
  const can = plan !== undefined && plan.moves > 0;
  useEffect(() => {
    if (plan) (can && !plan.stops ? go : cancel).current?.focus();
  }, [plan]);
  return (
    <>
      <button type="button" class="button large" ref={cancel} autoFocus onClick={close}>
        {plan && !can ? "Close" : "Cancel"} <kbd class="not-narrow">Esc</kbd>
      </button>
      {(!plan || can) && (
        <button
          type="button"
          class="button large first"
          ref={go}
          disabled={!can || working}
          onClick={() => plan && void archive(plan)}
        >
          {working ? "Archiving…" : deedOf(plan)}
        </button>
      )}
    </>
  );
}

function deedOf(plan?: Plan): string {
  if (!plan) return "Archive";
  const [stops, moves] = [wholeNumber(plan.stops), wholeNumber(plan.moves)];
  return plan.stops ? `Stop ${stops}, archive ${moves}` : `Archive ${moves}`;
}

interface PartlyProps {
  receipt: Archived;
  names: Names | undefined;
  close: () => void;
}

function PartlyArchived({ receipt, names, close }: PartlyProps) {
  const moved = countOf(receipt, "archived");
  const failed = receipt.failed ?? [];
  const undo = undoOf(receipt);
  return (
    <Modal title={`Archived ${wholeNumber(moved)}, passed over ${wholeNumber(failed.length)}`} close={close}>
      <p class="lead">What was passed over is unchanged and where it was.</p>
      <Failures failed={failed} names={names} />
      <footer>
        <span class="grow" />
        {undo && (
          <button
            type="button"
            class="button large"
            onClick={() => {
              close();
              void undo();
            }}
          >
            Undo
          </button>
        )}
        <button type="button" class="button large first" autoFocus onClick={close}>
          Close
        </button>
      </footer>
    </Modal>
  );
}

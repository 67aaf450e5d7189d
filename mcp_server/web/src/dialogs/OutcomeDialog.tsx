import { Modal } from "../parts/Modal.tsx";
import { Failures, Problem } from "./Failures.tsx";
import type { Outcome } from "./outcome.ts";

/** What came of a deed: its receipt, or what went wrong. */
export function OutcomeDialog({ outcome, close }: { outcome: Outcome; close: () => void }) {
  const { title, problem, failed, receipt } = outcome;
  return (
    <Modal title={title} close={close}>
      {problem && <Problem>{problem}</Problem>}
      <div class="told" tabIndex={0} role="group" aria-label="What was done">
        {failed && <Failures failed={failed} />}
        {receipt && receipt.facts.length > 0 && (
          <dl>
            {receipt.facts.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        )}
        {receipt?.lists.map(([name, lines]) => (
          <section key={name}>
            <h3>{name}</h3>
            <ul class="mono">
              {lines.map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
          </section>
        ))}
      </div>
      <footer>
        <span class="grow" />
        <button type="button" class="button large first" autoFocus onClick={close}>
          Close
        </button>
      </footer>
    </Modal>
  );
}

import { useEffect, useState } from "preact/hooks";
import { Modal } from "../parts/Modal.tsx";
import type { ThreadFacts } from "../parts/thread.ts";
import { counted } from "../parts/time.ts";
import { storeStatus } from "../shell/status.ts";

interface Fault {
  path: string;
  offset?: number;
  reason: string;
}

/** Says how many lines of the thread's file can't be read, and shows where they are. */
export function Damage({ thread }: { thread: ThreadFacts }) {
  const [faults, setFaults] = useState<Fault[]>([]);
  const [looking, look] = useState(false);
  useEffect(() => {
    storeStatus().then(
      (status) => setFaults((status.malformed ?? []).filter(({ path }) => path.includes(thread.id))),
      () => undefined,
    );
  }, [thread.id]);
  if (!faults.length) return null;
  return (
    <p class="damage">
      {counted(faults.length, "line of the file could not be read and is left out.", "lines of the file could not be read and are left out.")}{" "}
      <button type="button" class="link" onClick={() => look(true)}>
        {faults.length === 1 ? "Show it" : "Show them"}
      </button>
      {looking && (
        <Modal title="Lines that could not be read" close={() => look(false)}>
          <ul class="unread">
            {faults.map(({ path, offset, reason }) => (
              <li key={offset}>
                <code>{path}</code> at byte {offset ?? 0}: {reason}
              </li>
            ))}
          </ul>
          <footer>
            <span class="grow" />
            <button type="button" class="button large" onClick={() => look(false)}>
              Close
            </button>
          </footer>
        </Modal>
      )}
    </p>
  );
}

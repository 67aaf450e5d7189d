import { useEffect, useState } from "preact/hooks";
import type { StoreStatus } from "../link/answers.ts";
import { Modal } from "../parts/Modal.tsx";
import { storeStatus } from "../shell/status.ts";

/** Names the files, lines and copies that the lists leave out. */
export function Unread({ close }: { close: () => void }) {
  const [status, setStatus] = useState<StoreStatus | string>("");
  useEffect(() => {
    storeStatus().then(setStatus, (error: Error) => setStatus(error.message));
  }, []);
  return (
    <Modal title="Left out of the lists" close={close}>
      <div class="unread" tabIndex={0} role="region" aria-label="What is left out">
        {typeof status === "string" ? <p role="status">{status || "Looking through the files"}</p> : <Faults status={status} />}
      </div>
      <footer>
        <span class="grow" />
        <button type="button" class="button large" onClick={close}>
          Close
        </button>
      </footer>
    </Modal>
  );
}

function Faults({ status }: { status: StoreStatus }) {
  const faults = [
    ...(status.malformed ?? []).map(({ path, reason, offset }) => ({ path, why: `${reason}, at byte ${offset ?? 0}` })),
    ...(status.duplicates ?? []).map((path) => ({ path, why: "a copy of another file" })),
    ...(status.missing ?? []).map((path) => ({ path, why: "not in the index yet" })),
    ...(status.stale ?? []).map((path) => ({ path, why: "its file is gone, moved or changed" })),
  ];
  const left = Object.values(status.left_out ?? {}).reduce((sum, n) => sum + n, 0);
  if (!faults.length) return <p>Every file could be read.</p>;
  return (
    <ul>
      {faults.map(({ path, why }) => (
        <li key={path + why}>
          <code>{path}</code> <span class="faint">{why}</span>
        </li>
      ))}
      {left > 0 && <li class="faint">{left} more</li>}
    </ul>
  );
}

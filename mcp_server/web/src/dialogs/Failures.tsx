import type { ComponentChildren } from "preact";
import type { CascadeReceipt } from "../link/answers.ts";

interface Props {
  failed: NonNullable<CascadeReceipt["failed"]>;
  lead?: string;
  /** What a thread is called, where that is known. */
  names?: Names | undefined;
}

/** The names of threads by their ids, or by the beginnings of these. */
export type Names = (id: string) => string | undefined;

/** The threads that were passed over, each with its reason. */
export function Failures({ failed, lead, names }: Props) {
  return (
    <div class="failures">
      {lead && <p>{lead}:</p>}
      <ul>
        {failed.map((one) => (
          <li key={one.thread_id}>
            {nameOf(one.thread_id, names)} {one.reason}
          </li>
        ))}
      </ul>
    </div>
  );
}

function nameOf(id: string, names?: Names) {
  const name = names?.(id);
  return name ? <b title={id}>{name}:</b> : <code title={id}>{id.slice(0, 13)}</code>;
}

/** What went wrong, in the dialog in which it went wrong. */
export function Problem({ children }: { children: ComponentChildren }) {
  return (
    <p class="fault" role="alert">
      {children}
    </p>
  );
}

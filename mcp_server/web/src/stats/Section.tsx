import type { ComponentChildren } from "preact";

interface Props {
  title: string;
  told?: string;
  asTable?: boolean;
  setAsTable?: (asTable: boolean) => void;
  children: ComponentChildren;
}

/** A part of the statistics. A chart can be read as a table. */
export function Section({ title, told, asTable, setAsTable, children }: Props) {
  return (
    <section class="stats-part" aria-label={title}>
      <div class="stats-head">
        <h2>{title}</h2>
        {told && <span class="not-narrow">{told}</span>}
        {setAsTable && (
          <button type="button" class="filter" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            Table
          </button>
        )}
      </div>
      {told && <p class="told-narrow only-narrow">{told}</p>}
      {children}
    </section>
  );
}

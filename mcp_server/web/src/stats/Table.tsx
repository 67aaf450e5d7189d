import { wholeNumber } from "../parts/time.ts";

interface Row {
  key: string;
  /** Of the first cell: shown in the font of code. */
  mono?: boolean;
  cells: (string | number)[];
}

interface Props {
  label: string;
  heads: string[];
  rows: Row[];
}

export function Table({ label, heads, rows }: Props) {
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={`${label}, as a table`}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, mono, cells: [first, ...others] }) => (
            <tr key={key}>
              <th scope="row" class={mono ? "mono" : ""} title={key}>
                {first}
              </th>
              {others.map((cell, n) => (
                <td key={heads[n + 1]}>{typeof cell === "number" ? wholeNumber(cell) : cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

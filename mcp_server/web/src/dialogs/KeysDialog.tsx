import { link } from "../link/link.ts";
import { Icon } from "../parts/Icon.tsx";
import { Modal } from "../parts/Modal.tsx";

type Group = [where: string, keys: [what: string, ...signs: string[]][]];

const KEYS: Group[] = [
  [
    "Everywhere",
    [
      ["search", "/"],
      ["threads", "G", "L"],
      ["running", "G", "R"],
      ["statistics", "G", "S"],
      ["undo the last change", "Z"],
      ["this list", "?"],
      ["back, or close", "Esc"],
    ],
  ],
  [
    "In a list",
    [
      ["next, previous", "J", "K"],
      ["open", "↵"],
      ["tree", "T"],
      ["rename", "N"],
      ["tags", "L"],
      ["archive, after a dry run", "E"],
      ["bring back", "⇧", "E"],
    ],
  ],
  [
    "In a thread",
    [
      ["next, previous turn", "J", "K"],
      ["open or fold calls", "O"],
      ["page an output", "[", "]"],
      ["find in this thread", "F"],
      ["copy the turn", "C"],
      ["continue in chat", "⇧", "C"],
    ],
  ],
  [
    "In a tree",
    [
      ["parent, first child", "←", "→"],
      ["siblings", "↑", "↓"],
      ["fold", "Space"],
      ["fit", "0"],
      ["map, time, text", "1", "2", "3"],
    ],
  ],
  [
    "In the statistics",
    [
      ["range", "1", "2", "3"],
      ["day", "←", "→", "↑", "↓"],
      ["threads of that day", "↵"],
      ["tables", "B"],
    ],
  ],
];

/** What an export has none of. */
const NOT_IN_EXPORT = new Set([
  "In a list", "In the statistics", "search", "threads", "running", "statistics", "undo the last change", "continue in chat",
]);

function groups(): Group[] {
  if (!link.way.root) return KEYS;
  const without = (keys: Group[1]) => keys.filter(([what]) => !NOT_IN_EXPORT.has(what));
  return KEYS.filter(([where]) => !NOT_IN_EXPORT.has(where)).map(([where, keys]) => [where, without(keys)]);
}

/** All keys. They work while the page has the focus, and not in a field. */
export function KeysDialog({ close }: { close: () => void }) {
  return (
    <Modal title="Keys" close={close} class="keys">
      <button type="button" class="button quiet square dialog-close" aria-label="Close" autoFocus onClick={close}>
        <Icon name="close" />
      </button>
      <div class="keys-body" tabIndex={0} role="group" aria-label="All keys">
        {groups().map(([where, keys]) => (
          <section key={where}>
            <h3>{where}</h3>
            {keys.map(([what, ...signs]) => (
              <p key={what}>
                <span class="grow">{what}</span>
                {signs.map((sign) => (
                  <kbd key={sign}>{sign}</kbd>
                ))}
              </p>
            ))}
          </section>
        ))}
      </div>
    </Modal>
  );
}

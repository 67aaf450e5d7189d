import { Icon } from "../parts/Icon.tsx";
import { home } from "../shell/counts.ts";
import { CopyButton } from "../thread/CopyButton.tsx";

const WORDS = "Start a thread named “first steps” and keep our work in it.";
const DEMO = "threadstore demo";
const ELSEWHERE = "threadstore browse --home FOLDER";

/** What a person can do who has no threads yet. */
export function FirstSteps() {
  return (
    <>
      <h2>No threads here yet</h2>
      <p>
        Threadstore looked in <code>{home.value ?? "its home"}</code> and found no conversations. The first one appears here by itself.
      </p>
      <ul class="first-steps">
        <li>
          <Icon name="say" />
          <div>
            Say to your assistant
            <p>{WORDS}</p>
          </div>
          <CopyButton label="Copy the words" text={async () => WORDS} />
        </li>
        <li>
          <Icon name="terminal" />
          <div>
            Or see it work
            <p>
              <code>{DEMO}</code>
            </p>
          </div>
          <CopyButton label="Copy the command" text={async () => DEMO} />
        </li>
        <li>
          <Icon name="search" />
          <div>
            Threads are somewhere else?
            <p>
              <code>{ELSEWHERE}</code>
            </p>
          </div>
          <CopyButton label="Copy the command" text={async () => ELSEWHERE} />
        </li>
      </ul>
    </>
  );
}

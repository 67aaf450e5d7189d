import { useState } from "preact/hooks";
import { link } from "../link/link.ts";
import { changed } from "../parts/changed.ts";
import { type Again, close, dialog, type DialogRequest, open } from "../parts/dialog.ts";
import { Icon } from "../parts/Icon.tsx";
import { Modal } from "../parts/Modal.tsx";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { toast } from "../parts/toast.tsx";
import { tags as knownTags } from "../shell/counts.ts";
import { sentenceOf } from "../parts/sentence.ts";

/** The dialogs that name a thread and set its tags. */
export function EditDialogs() {
  const request = dialog.value;
  if (request?.kind === "name") return <NameDialog key={request.thread.id} {...request} />;
  if (request?.kind === "tags") return <TagsDialog key={request.thread.id} {...request} />;
  return null;
}

function NameDialog({ thread, again }: { thread: ThreadFacts; again?: Again<string> }) {
  const [name, setName] = useState(again?.value ?? thread.name ?? "");
  const { fault, busy, run } = useChange(again?.why);
  const save = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await rename(thread, name.trim());
      const before = thread.name;
      const now = { ...thread, name: name.trim() };
      const undo = () => rename(thread, before ?? "").catch(notBack((again) => ({ kind: "name", thread: now, again }), before ?? ""));
      toast({ text: "Renamed", dim: name.trim(), ...(before ? { undo } : {}) });
    });
  };
  return (
    <Modal title="Rename the thread" close={close}>
      <form method="dialog" onSubmit={save}>
        <label class="field">
          Name
          <input value={name} onFocus={(event) => event.currentTarget.select()} maxLength={512} autoComplete="off" placeholder={titleOf(thread)} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <Fault text={fault} />
        <Foot busy={busy} disabled={!name.trim() || name.trim() === thread.name} label="Rename" />
      </form>
    </Modal>
  );
}

function TagsDialog({ thread, again }: { thread: ThreadFacts; again?: Again<string[]> }) {
  const [tags, setTags] = useState(again?.value ?? thread.tags);
  const [text, setText] = useState("");
  const { fault, busy, run } = useChange(again?.why);
  const withText = () => [...new Set([...tags, ...text.split(",").map((part) => part.trim())])].filter(Boolean);
  const save = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await setTagsOf(thread, withText());
      const now = { ...thread, tags: withText() };
      const undo = () => setTagsOf(thread, thread.tags).catch(notBack((again) => ({ kind: "tags", thread: now, again }), thread.tags));
      toast({ text: "Tags set", undo });
    });
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "," || (event.key === "Enter" && text.trim())) {
      event.preventDefault();
      setTags(withText());
      setText("");
    } else if (event.key === "Backspace" && !text) setTags(tags.slice(0, -1));
  };
  return (
    <Modal title="Tags" close={close}>
      <form method="dialog" onSubmit={save}>
        {tags.length > 0 && (
          <ul class="tag-list" aria-label="Tags of the thread">
            {tags.map((tag) => (
              <li class="chip" key={tag}>
                {tag}
                <button type="button" aria-label={`Remove ${tag}`} onClick={() => setTags(tags.filter((one) => one !== tag))}>
                  <Icon name="close" />
                </button>
              </li>
            ))}
          </ul>
        )}
        <label class="field">
          Add a tag, Enter after each
          <input value={text} list="known-tags" autoComplete="off" onInput={(event) => setText(event.currentTarget.value)} onKeyDown={key} />
        </label>
        <datalist id="known-tags">
          {knownTags.value.map(({ key: tag }) => (
            <option key={tag} value={tag} />
          ))}
        </datalist>
        <Fault text={fault} />
        <Foot busy={busy} label="Save" />
      </form>
    </Modal>
  );
}

/** Opens the dialog of a change again, if that could not be undone. */
function notBack<Value>(request: (again: Again<Value>) => DialogRequest, value: Value): (error: unknown) => void {
  return (error) => open(request({ value, why: `It could not be undone. ${sentenceOf(error)}` }));
}

/** Runs a change; if it fails the dialog stays open and says why. */
function useChange(why = "") {
  const [fault, setFault] = useState(why);
  const [busy, setBusy] = useState(false);
  const run = async (change: () => Promise<void>) => {
    setBusy(true);
    try {
      await change();
      close();
    } catch (error) {
      setFault(sentenceOf(error));
      setBusy(false);
    }
  };
  return { fault, busy, run };
}

async function rename(thread: ThreadFacts, name: string): Promise<void> {
  await link.call("thread_update", { thread_id: thread.id, name });
  changed();
}

async function setTagsOf(thread: ThreadFacts, tags: string[]): Promise<void> {
  await link.call("thread_update", { thread_id: thread.id, tags });
  changed();
}

function Fault({ text }: { text: string }) {
  return (
    <p class="fault" role="alert">
      {text}
    </p>
  );
}

function Foot({ busy, disabled = false, label }: { busy: boolean; disabled?: boolean; label: string }) {
  return (
    <footer>
      <span class="grow" />
      <button type="button" class="button large" onClick={close}>
        Cancel
      </button>
      <button type="submit" class="button large first" disabled={busy || disabled}>
        {label}
      </button>
    </footer>
  );
}

import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import { useEffect, useId } from "preact/hooks";
import type { Item } from "../link/answers.ts";
import { Code } from "../parts/Code.tsx";
import { Icon } from "../parts/Icon.tsx";
import { Glyph } from "../parts/State.tsx";
import { callOf } from "./calls.ts";
import { Diff } from "./Diff.tsx";
import { Output } from "./Output.tsx";
import { Picture } from "./Picture.tsx";
import { changesOf } from "./told.ts";

interface Props {
  item: Item;
  threadId: string;
  turnId: string;
  /** Folds or opens all calls of the turn together; undefined leaves each as it is. */
  all: Signal<boolean | undefined>;
}

/** One tool call, folded; a failed one is open. */
export function CallRow({ item, threadId, turnId, all }: Props) {
  const call = callOf(item);
  const failed = call.ended === "failed";
  const isOpen = useSignal(failed);
  const body = useId();
  useEffect(() => {
    if (all.value !== undefined) isOpen.value = all.value;
  }, [all.value]);
  return (
    <>
      <button
        type="button"
        class="call"
        data-item={item.id}
        aria-expanded={isOpen.value}
        aria-controls={isOpen.value ? body : undefined}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        <Icon name="right" />
        <Icon name={call.icon} />
        <span class="cut">
          {call.verb && <span class="faint">{call.verb} </span>}
          <code>{call.what}</code>
        </span>
        <span class="call-end figures">
          {call.note && <span class={failed ? "" : "not-narrow"}>{call.note}</span>}
          {call.ended === "well" && (
            <span class="ended-well">
              <Icon name="check" label="succeeded" />
            </span>
          )}
          {failed && <Glyph state="failed" />}
          {call.ended === "running" && <Glyph state="running" />}
        </span>
      </button>
      {isOpen.value && (
        <div class="call-body" id={body}>
          {changesOf(item).map((change) => (
            <Diff key={change.path} change={change} />
          ))}
          {call.input && (
            <div class="call-input">
              <Code text={call.input} language="json" label="Input of the call" />
            </div>
          )}
          {item.type === "commandExecution" && call.what.includes("\n") && (
            <div class="call-input">
              <Code text={call.what} language="bash" label="Command" />
            </div>
          )}
          {call.outputs.map(({ path, text, image }) => {
            const place = { threadId, turnId, itemId: item.id, path };
            const length = item.truncated?.[path];
            return image !== undefined ? (
              <Picture key={path} place={place} address={text} begin={image} length={length} />
            ) : (
              <Output key={path} place={place} text={text} length={length} failed={failed} />
            );
          })}
          {!call.outputs.length && !call.input && !changesOf(item).length && <p class="call-none">It said nothing.</p>}
        </div>
      )}
    </>
  );
}


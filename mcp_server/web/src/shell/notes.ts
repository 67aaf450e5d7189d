/** What the tools tell agents of an answer, in words for people. */

import { tools } from "./abilities.ts";
import { hasIndex } from "./counts.ts";

const WORDS: [RegExp, (...parts: string[]) => string][] = [
  [
    /^(.* (?:is|are)) not indexed yet(, so not searched)?; store_status tells how far that is$/,
    (_, threads, searched) => `${threads} not read yet, so not ${searched ? "searched" : "counted"}.${howRead()}`,
  ],
  [
    /^time was up before all (threads|texts) were (.*); go on with next_cursor$/,
    (_, what, done) => `time was up before all ${what} were ${done}: scroll on for more`,
  ],
  [/name another word, or bound the time by until$/, () => "add a word, or choose a time"],
  [/; store_status names them$/, () => ""],
  [
    /^The index is being built: (\d+) of (\d+) files are in it,?(?: and counted,)? so far(?:, and were searched)?/,
    (_, done, all) => `your threads are still being read: ${done} of ${all} so far`,
  ],
];

/** A note as a sentence. */
export function noteOf(note: string): string {
  const told = WORDS.reduce((text, [pattern, words]) => text.replace(pattern, words), note.trim().replace(/\.$/, ""));
  return `${told.charAt(0).toUpperCase()}${told.slice(1)}${/[.!?]$/.test(told) ? "" : "."}`;
}

/** How threads come into the index: a server that may write reads them by itself. Said only where it is known. */
function howRead(): string {
  if (!tools.value || hasIndex.value === undefined) return "";
  const byItself = hasIndex.value && tools.value.has("thread_update");
  return byItself ? " Reading goes on: look again in a while." : " `threadstore reindex` reads the rest.";
}

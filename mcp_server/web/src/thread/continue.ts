import { link } from "../link/link.ts";
import { type ThreadFacts, titleOf } from "../parts/thread.ts";
import { toast } from "../parts/toast.tsx";
import { copied } from "./CopyButton.tsx";

/** Asks the chat to go on with a thread; outside of a chat the words for it are copied. */
export async function continueInChat(thread: ThreadFacts): Promise<void> {
  const words = `Go on with the Threadstore thread ${thread.id} (“${titleOf(thread)}”): read thread_brief, then continue.`;
  if (link.way.say) {
    await link.way.say(words).then(
      () => toast({ text: "Sent to the chat" }),
      () => toast({ text: "The chat did not take it" }),
    );
  } else if (await copied(async () => words)) {
    toast({ text: "Copied", dim: "Paste it to your assistant" });
  }
}

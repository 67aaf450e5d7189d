import { useState } from "preact/hooks";
import { Icon } from "../parts/Icon.tsx";
import { toast } from "../parts/toast.tsx";

const SHOWN_MS = 1_500;

/** Copies a text, which may have to be fetched first. */
export function CopyButton({ label, text }: { label: string; text: () => Promise<string> }) {
  const [done, setDone] = useState(false);
  const run = async () => {
    if (!(await copied(text))) return;
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  };
  return (
    <button type="button" class="button quiet small square" aria-label={done ? "Copied" : label} onClick={() => void run()}>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}

export async function copied(text: () => Promise<string>): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(await text());
    return true;
  } catch {
    toast({ text: "The browser does not let this page copy" });
    return false;
  }
}

import { useState } from "preact/hooks";
import { Prose } from "../parts/Prose.tsx";
import { wholeNumber } from "../parts/time.ts";
import { type Place, whole } from "./texts.ts";

/** A message as Markdown. One that was cut says so, and loads its rest when asked. */
export function LongText({ place, text, length }: { place: Place; text: string; length: number | undefined }) {
  const [rest, setRest] = useState<string>();
  const [told, setTold] = useState("");
  if (length === undefined || rest !== undefined) return <Prose text={rest ?? text} />;
  const load = () => {
    setTold("Loading");
    whole(place, length, (done) => setTold(`${wholeNumber(done)} of ${wholeNumber(length)}`)).then(setRest, (error: Error) =>
      setTold(error.message),
    );
  };
  return (
    <>
      <Prose text={text} />
      <p class="rest">
        <button type="button" class="link" onClick={load}>
          Show all {wholeNumber(length)} characters
        </button>{" "}
        <span class="faint" role="status">
          {told}
        </span>
      </p>
    </>
  );
}

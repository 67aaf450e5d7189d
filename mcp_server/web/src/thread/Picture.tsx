import { useEffect, useRef, useState } from "preact/hooks";
import { counted, short } from "../parts/time.ts";
import { BARE_PIECE, type Place, whole } from "./texts.ts";

const MOST_CHARS = 12_000_000;
const AT_ONCE = 200_000;
const HIGH = 320;

interface Props {
  place: Place;
  /** A data address, perhaps cut. */
  address: string;
  length: number | undefined;
  /** What stands before the address, if only its data is stored. */
  begin?: string;
}

/** A stored image. It is drawn on a canvas, since a frame in a chat may load no image, not even from its own data. */
export function Picture({ place, address, length, begin = "" }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [source, setSource] = useState(length === undefined ? address : "");
  const [state, setState] = useState("");
  const load = () => {
    if (length === undefined || length > MOST_CHARS) return;
    setState("Loading the image");
    whole(place, length, (done) => setState(`Loading the image, ${Math.round((100 * done) / length)}%`), BARE_PIECE).then(
      (text) => {
        setState("");
        setSource(text);
      },
      (error: Error) => setState(error.message),
    );
  };
  useEffect(() => {
    if (length !== undefined && length <= AT_ONCE) load();
  }, []);
  useEffect(() => {
    if (source && canvas.current) draw(begin + source, canvas.current).catch(() => setState("This image can't be shown here."));
  }, [source]);
  if (state) return <p class="faint">{state}</p>;
  if (!source) {
    return (
      <button type="button" class="button small" disabled={(length ?? 0) > MOST_CHARS} onClick={load}>
        Show the image ({short(Math.round((length ?? 0) * 0.75))} bytes)
      </button>
    );
  }
  return <canvas ref={canvas} class="picture" role="img" aria-label={`Image of ${counted(source.length, "character")}`} />;
}

async function draw(address: string, canvas: HTMLCanvasElement): Promise<void> {
  const [, type = "", data = ""] = /^data:(image\/(?:png|jpeg|gif|webp|bmp|avif));base64,([\s\S]*)$/.exec(address) ?? [];
  const bytes = Uint8Array.from(atob(data.replace(/\s/g, "")), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type }));
  const scale = Math.min(1, (HIGH * devicePixelRatio) / image.height);
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.style.width = `${Math.min(canvas.width, image.width / devicePixelRatio || canvas.width)}px`;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
}

/** Texts are counted as the server counts them: in code points. */

const IN_PAIRS = /[\ud800-\udbff]/;

export function characters(text: string): number {
  if (!IN_PAIRS.test(text)) return text.length;
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** So many characters from an offset on; a negative one counts from the end. */
export function sliced(text: string, offset: number, count: number): string {
  const first = offset < 0 ? Math.max(0, characters(text) + offset) : offset;
  if (!IN_PAIRS.test(text)) return text.slice(first, first + count);
  const start = unitsOf(text, 0, first);
  return text.slice(start, unitsOf(text, start, count));
}

/** Where so many characters after a place end. */
function unitsOf(text: string, from: number, count: number): number {
  let at = from;
  for (let left = count; left > 0 && at < text.length; left -= 1) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return at;
}

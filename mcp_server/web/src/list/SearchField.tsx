import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../parts/Icon.tsx";
import { type Filters, setFilters } from "./filters.ts";

const PAUSE_MS = 180;

interface Props {
  filters: Filters;
  move: (by: number) => void;
  choose: () => void;
}

/** Searches while one types. Arrows move in the matches, Enter opens one, Escape clears. */
export function SearchField({ filters, move, choose }: Props) {
  const [text, setText] = useState(filters.text);
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    if (document.activeElement !== field.current) setText(filters.text);
  }, [filters.text]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const search = (value: string, wait = PAUSE_MS) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setFilters({ text: value }), wait);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") choose();
    else if (event.key === "Escape" && text) search("", 0);
    else if (event.key === "Escape") field.current?.blur();
    else return;
    event.preventDefault();
  };
  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        aria-label="Search names and everything said"
        placeholder="Search names and everything said"
        autoComplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => search(event.currentTarget.value)}
        onKeyDown={key}
      />
      {text ? (
        <button type="button" class="faint" aria-label="Clear search" onClick={() => search("", 0)}>
          <Icon name="close" />
        </button>
      ) : (
        <kbd aria-hidden="true">/</kbd>
      )}
    </div>
  );
}

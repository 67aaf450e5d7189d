import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./Icon.tsx";

export interface MenuItem {
  icon: IconName;
  label: string;
  key?: string;
  run: () => void;
}

/** A button that opens a list of actions. Arrows move in it, Escape closes it. */
export function Menu({ label, items }: { label: string; items: MenuItem[] }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef<HTMLSpanElement>(null);
  const id = useId();
  useEffect(() => {
    if (!isOpen) return undefined;
    box.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (!isOpen) return;
    event.stopPropagation();
    const all = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (to !== undefined) all.at(to % all.length)?.focus();
    else return;
    event.preventDefault();
  };
  return (
    // The keys go to the item that has the focus, and through it to here.
    <span class="menu" ref={box} onKeyDown={key}>
      <button
        type="button"
        class="button quiet square"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name="more" />
      </button>
      {isOpen && (
        <span class="menu-list" role="menu" id={id} aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              onClick={() => {
                close();
                item.run();
              }}
            >
              <Icon name={item.icon} />
              <span class="grow">{item.label}</span>
              {item.key && <kbd aria-hidden="true">{item.key}</kbd>}
            </button>
          ))}
        </span>
      )}
    </span>
  );
}

/** The keys that work in a view, at the foot of wide pages: pairs of keys and what they do. */
export function Keystrip({ keys }: { keys: [string[], string][] }) {
  return (
    <footer class="keystrip" aria-label="Keyboard">
      {keys.map(([signs, what]) => (
        <span key={what}>
          {signs.map((sign) => (
            <kbd key={sign}>{sign}</kbd>
          ))}{" "}
          {what}
        </span>
      ))}
    </footer>
  );
}

/** Runs something once after a pause, however often it is asked for meanwhile. */
export class Soon {
  #due: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly run: () => void,
    private readonly pauseMs: number,
  ) {}

  ask(): void {
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.run();
    }, this.pauseMs);
  }

  stop(): void {
    clearTimeout(this.#due);
    this.#due = undefined;
  }
}

/** The sub-agents of a thread by their ids, read once an item speaks of one. */

import { signal } from "@preact/signals";
import type { TreeNode } from "../link/answers.ts";
import { link } from "../link/link.ts";

const MOST = 100;

export class Agents {
  readonly #nodes = signal<TreeNode[]>([]);
  #wanted = false;

  constructor(private readonly threadId: string) {}

  want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    link.call("thread_tree", { thread_id: this.threadId, limit: MOST, response_format: "detailed" }).then(
      (tree) => {
        this.#nodes.value = tree.nodes ?? [];
      },
      () => undefined, // the rows lead there without a name, too
    );
  }

  /** Answers repeat an id by its beginning. */
  find(id: string): TreeNode | undefined {
    return this.#nodes.value.find((node) => node.thread_id.startsWith(id));
  }
}

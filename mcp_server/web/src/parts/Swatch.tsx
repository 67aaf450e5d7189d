import { hueOf } from "./thread.ts";

/** The square that marks a project, always beside its name. */
export function Swatch({ project }: { project: string }) {
  return <i class={`swatch yarn-${hueOf(project)}`} />;
}

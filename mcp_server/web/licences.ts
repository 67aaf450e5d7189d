/** A build step that writes down the licence of each package that the page contains. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

interface Package {
  name: string;
  version: string;
  license?: string;
  folder: string;
}

export function licences(fileName: string): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((part) => (part.type === "chunk" ? Object.keys(part.modules) : []));
      const packages = new Map<string, Package>();
      for (const id of modules) {
        const found = packageOf(id);
        if (found) packages.set(found.name, found);
      }
      const ordered = [...packages.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      this.emitFile({ type: "asset", fileName, source: ordered.map(entry).join("\n") });
    },
  };
}

/** The package that a module belongs to, or nothing if it is a part of the page itself. */
function packageOf(id: string): Package | undefined {
  const path = id.replace(/^\0/, "").split("?")[0] ?? "";
  if (!path.includes("/node_modules/")) return undefined;
  for (let folder = dirname(path); !folder.endsWith("/node_modules"); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (!existsSync(file)) continue;
    const { name, version, license } = JSON.parse(readFileSync(file, "utf8")) as Partial<Package>;
    if (name && version) return { name, version, folder, ...(license ? { license } : {}) };
  }
  return undefined;
}

function entry({ name, version, license, folder }: Package): string {
  const file = readdirSync(folder).sort().find((one) => /^licen[cs]e/i.test(one));
  const text = file ? readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim() : "";
  const title = `${name} ${version} (${license ?? "licence not named"})`;
  return `${title}\n${"=".repeat(title.length)}\n\n${text || "The package has no licence text of its own."}\n`;
}

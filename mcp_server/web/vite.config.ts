import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";
import { licences } from "./licences.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

process.env.NODE_ENV = "production"; // what the shell says of it would change the page

export default defineConfig({
  root: here("."),
  plugins: [licences("THIRD_PARTY_LICENSES.txt"), viteSingleFile({ removeViteModuleLoader: true })],
  build: {
    outDir: here("../assets"),
    emptyOutDir: false, // the folder is a part of the package, and others may keep files in it
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // these know light-dark(), which follows a host's theme
    reportCompressedSize: true,
    rolldownOptions: { input: here("threadstore.html") },
  },
});

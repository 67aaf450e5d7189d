/** The one place where text becomes HTML. Whatever is shown by `innerHTML` is made here, and sanitised. */

import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked } from "marked";

/** Longer texts are shown as they are: colours would cost more time than they are worth. */
const MOST_COLOURED = 60_000;
const MOST_MARKDOWN = 200_000;

const languages = { bash, cpp, css, diff, go, java, json, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);
hljs.registerAliases(["shell", "console", "zsh", "shellscript"], { languageName: "bash" });
hljs.registerAliases(["javascript", "js", "jsx", "tsx"], { languageName: "typescript" });
hljs.registerAliases(["toml", "ini"], { languageName: "yaml" });

/** HTML that was sanitised: with Trusted Types an object that only the sanitiser can make. */
export type SafeHtml = string;

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => escapes[sign] ?? sign);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escaped(text), // stored HTML is text, like anything else that is stored
    image: ({ href, text }) => `<span class="no-image">${escaped(text || "image")} (${escaped(href)})</span>`,
    code: ({ text, lang }) => {
      const language = (lang ?? "").trim().split(/\s/)[0] ?? "";
      return `<div class="code"><div class="code-head">${escaped(language || "text")}</div><pre tabindex="0">${
        coloured(text, language)
      }</pre></div>`;
    },
    table(token) {
      const cells = (row: typeof token.header, tag: string) =>
        `<tr>${row.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
      const body = token.rows.map((row) => cells(row, "td")).join("");
      return `<div class="wide" tabindex="0"><table><thead>${cells(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    heading({ tokens, depth }) {
      return `<p class="heading h${depth}">${this.parser.parseInline(tokens)}</p>`; // the page's own headings are its outline
    },
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "b", "blockquote", "br", "code", "del", "div", "em", "hr", "li", "ol", "p", "pre", "span", "strong", "sub",
    "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "title", "class", "start", "tabindex"],
  ADD_URI_SAFE_ATTR: ["tabindex"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

/** Markdown as HTML. Only its own marks become elements; HTML in it stays text, and images are named, not fetched. */
export function markdown(text: string): SafeHtml {
  if (text.length > MOST_MARKDOWN) return safe(`<pre tabindex="0">${escaped(text)}</pre>`);
  return safe(marked.parse(text, { async: false }));
}

/** Code with its colours, as HTML. */
export function code(text: string, language = ""): SafeHtml {
  return safe(coloured(text, language));
}

function coloured(text: string, language: string): string {
  if (!language || text.length > MOST_COLOURED || !hljs.getLanguage(language)) return escaped(text);
  return hljs.highlight(text, { language, ignoreIllegals: true }).value;
}

function safe(html: string): SafeHtml {
  // A TrustedHTML where the browser knows it; Preact hands it to `innerHTML` as it is.
  return DOMPurify.sanitize(html, { ...ALLOWED, RETURN_TRUSTED_TYPE: true }) as unknown as SafeHtml;
}

const BY_ENDING: Record<string, string> = {
  bash: "bash", c: "cpp", cc: "cpp", cpp: "cpp", css: "css", diff: "diff", go: "go", h: "cpp", hpp: "cpp", htm: "xml",
  html: "xml", java: "java", js: "typescript", json: "json", jsx: "typescript", kt: "java", mjs: "typescript",
  patch: "diff", py: "python", rs: "rust", sh: "bash", sql: "sql", svg: "xml", toml: "yaml", ts: "typescript",
  tsx: "typescript", xml: "xml", yaml: "yaml", yml: "yaml",
};

/** The language of a file by the ending of its name. */
export function languageOf(path: string): string {
  return BY_ENDING[path.split(".").pop()?.toLowerCase() ?? ""] ?? "";
}

// A client on a TypeScript SDK: lists the tools, as every host does, makes the calls, completes and gets a
// prompt, and prints what came of each.
// node sdk.mjs FOLDER PACKAGE ERA CALLS SERVER...   FOLDER has the SDK in node_modules; ERA is legacy or modern.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, name, era, calls, command, ...args] = process.argv.slice(2);
const load = createRequire(join(folder, "package.json"));
const one = name === "@modelcontextprotocol/sdk"; // of 1.x; 2.x has a package for clients
const { Client } = load(one ? `${name}/client/index.js` : name);
const { StdioClientTransport } = load(one ? `${name}/client/stdio.js` : `${name}/stdio`);

const client = new Client({ name: "a test", version: "1" }, era === "modern" ? { versionNegotiation: { mode: "auto" } } : {});
await client.connect(new StdioClientTransport({ command, args, stderr: "ignore" }));
await client.listTools(); // from here on, answers are held against the output schemas
const answers = [];
for (const [tool, input] of JSON.parse(calls)) {
  answers.push(await client.callTool({ name: tool, arguments: input }).catch((error) => ({ thrown: String(error) })));
}
const { resources } = await client.listResources();
const ref = { type: "ref/prompt", name: "hand_over" };
const { completion } = await client.complete({ ref, argument: { name: "thread", value: "FROM" } });
const prompt = await client.getPrompt({ name: "hand_over", arguments: { thread: "from the SDK" } });
const version = client.getNegotiatedProtocolVersion?.();
console.log(JSON.stringify({ version, answers, resources, completion, prompt }));
await client.close();

// Formats the Lua scripts with StyLua's own library, or with --check only says which differ.
// Usage: node stylua.mjs [--check] FOLDER; the package @johnnymorganz/stylua is found by NODE_PATH.
import { createRequire } from "node:module";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_PATH, "package.json"));
const stylua = require("@johnnymorganz/stylua");
const isCheck = process.argv.includes("--check");
const folder = process.argv.at(-1);

// Every line of stylua.toml is `name = value`; names are those of the library's Config.
const settings = [];
for (const line of readFileSync(join(folder, "stylua.toml"), "utf8").split("\n")) {
  const [, name, value] = line.match(/^(\w+)\s*=\s*"?([^"]+?)"?\s*$/) ?? [];
  if (!name) continue;
  const family = { indent_type: "IndentType", quote_style: "QuoteStyle", call_parentheses: "CallParenType",
    collapse_simple_statement: "CollapseSimpleStatement", syntax: "LuaVersion", line_endings: "LineEndings" }[name];
  const choice = family ? stylua[family][value] : Number(value);
  if (choice === undefined || Number.isNaN(choice)) throw new Error(`stylua.toml: ${line}`);
  settings.push([name, choice]);
}
// The library takes a configuration for good with each call.
const makeConfig = () => Object.assign(stylua.Config.new(), Object.fromEntries(settings));

const scripts = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".lua"));
const differing = scripts.filter((name) => {
  const path = join(folder, name);
  const before = readFileSync(path, "utf8");
  const after = stylua.formatCode(before, makeConfig(), undefined, stylua.OutputVerification.Full);
  if (before !== after && !isCheck) writeFileSync(path, after);
  return before !== after;
});
console.log(`stylua: ${scripts.length} scripts, ${differing.length} ${isCheck ? "differ" : "formatted"}`);
for (const name of differing) console.log(`  ${name}`);
process.exit(isCheck && differing.length ? 1 : 0);

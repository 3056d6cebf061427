// A request of the page as a command or a program, to be copied. A key stays out of it: it is named by its variable.

import {byId, say} from "./endpoint.js";

const here = (path) => new URL(path, document.baseURI).href;
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const keyed = () => Boolean(byId("key").value);

function curl(options) {
  const key = keyed() ? ['-H "Authorization: Bearer $XPFEH_KEY"'] : [];
  return ["curl -X POST", ...key, ...options].join(" ");
}

function python(argument) {
  const key = keyed() ? ', key=os.environ["XPFEH_KEY"]' : "";
  return [...(keyed() ? ["import os", ""] : []), "import xpfeh", "", `client = xpfeh.Client("${here(".")}"${key})`,
    `stars = client.predict(${argument})`, ""].join("\n");
}

export const ofIds = (ids) => ({
  curl: curl(['-H "Content-Type: application/json"', `-d '${starsOf(ids)}'`, quoted(here("v1/predict"))]),
  python: python(`[${ids.join(", ")}]`),
});

export const ofFile = (name) => ({
  curl: curl(['-H "Accept: text/csv"', `--data-binary ${quoted(`@${name}`)}`,
    quoted(here(`v1/predict/file?name=${encodeURIComponent(name)}`))]),
  python: python(JSON.stringify(name)),
});

/** The body of a request for stars by identifier: as text, since they have more bits than JavaScript's numbers. */
export const starsOf = (ids) => `{"stars": [${ids.map((id) => `{"source_id": ${id}}`).join(", ")}]}`;

/** Show a program, selected, and copy it where the browser lets a page do so. */
export async function copy(program) {
  const pre = byId("program");
  pre.textContent = program;
  pre.hidden = false;
  getSelection().selectAllChildren(pre);
  try {
    await navigator.clipboard.writeText(program);  // missing where the page came without TLS from another machine
    say("Copied.");
  } catch {
    pre.focus();
    say("This browser does not let the page copy: press Ctrl+C.");
  }
}

// A request of the page as a command or a program to copy. It names a variable instead of the key itself.

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

/** Show a program, selected, and copy it if the browser allows that. */
export async function copy(program) {
  const pre = byId("program");
  pre.textContent = program;
  pre.hidden = false;
  getSelection().selectAllChildren(pre);
  try {
    await navigator.clipboard.writeText(program);  // missing if the page came from another machine without TLS
    say("Copied.");
  } catch {
    pre.focus();
    say("This browser does not allow copying by a page: press Ctrl+C.");
  }
}

// Requests to the endpoint, and the status shown meanwhile.

export const byId = (id) => document.getElementById(id);

/** Return a new element with properties, and children in it. */
export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Parse a JSON answer: JavaScript's numbers have 53 bits; a source_id has 63, and is kept as text. */
export const parsed = (text) => JSON.parse(text.replace(/("source_id":)(\d+)/g, '$1"$2"'));

/** A refusal by the endpoint, with its message. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  const headers = {...options.headers};
  if (byId("key").value) headers.Authorization = `Bearer ${byId("key").value.trim()}`;
  const reply = await fetch(path, {...options, headers});
  if (reply.ok) return reply;
  const text = await reply.text();
  let message = `status ${reply.status}`;
  try { message = JSON.parse(text).error.message; } catch { /* not JSON of ours, but from a proxy */ }
  if (reply.status === 401) {
    byId("key-box").open = true;
    byId("key").focus();
  }
  throw new Refusal(reply.status, message);
}

export const JSON_BODY = {"Content-Type": "application/json"};

export function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").className = wrong ? "error" : "";
}

let latest = null;

/** Do some work and show its status; of several at a time only the latest is shown. */
export async function during(what, work) {
  const mine = latest = {};
  const current = () => mine === latest;
  document.querySelector("main").setAttribute("aria-busy", "true");
  say(`${what} …`);
  try {
    await work();
    if (current()) say("");
  } catch (error) {
    if (current()) say(error instanceof TypeError ? "The endpoint does not answer." : error.message, true);
  }
  if (current()) document.querySelector("main").removeAttribute("aria-busy");
}

const FORMATS = {CSV: "csv", VOTable: "vot", FITS: "fits", Parquet: "parquet"};

/** Put a button for each format into `place`; `request` of a format's name returns the reply to save. */
export function offerDownloads(place, names, request) {
  place.replaceChildren(...names.map((name) => {
    const button = made("button", {type: "button", textContent: `Download ${name}`});
    const get = async () => save(await request(name), FORMATS[name]);
    button.addEventListener("click", () => during(`Making ${name}`, get));
    return button;
  }));
}

export async function save(reply, suffix, name = "feh") {
  const href = URL.createObjectURL(await reply.blob());
  made("a", {href, download: `${name}.${suffix}`}).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);  // the browser reads it after the click
}

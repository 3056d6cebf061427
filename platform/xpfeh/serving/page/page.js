// The page: requests by identifiers, by a file, or by the page's address, and their answers.

import {ask, byId, during, JSON_BODY, offerDownloads, parsed, save, say} from "./endpoint.js";
import * as job from "./job.js";
import {copy, ofFile, ofIds, starsOf} from "./programs.js";
import {StarTable} from "./table.js";
import {counted} from "./words.js";

const EXAMPLE = "3849881110721354752";  // a good giant with [Fe/H] -1.8
const LARGE_FILE = 20e6;  // bytes: 500 stars of DataLink's CSV, 3,000 of Parquet; more takes too long to wait for
const IDS_IN_ADDRESS = 200;  // 4 kB: proxies refuse addresses from 8 kB on
const ACCEPT = {
  CSV: "text/csv", VOTable: "application/x-votable+xml", FITS: "application/fits",
  Parquet: "application/vnd.apache.parquet",
};

const health = ask("v1/health").then((reply) => reply.json());

/** Return the identifiers in a text; each may follow a release, as in "Gaia DR3 123". */
function idsIn(text) {
  const ids = text.replace(/\bgaia\s+dr\d\b/gi, " ").split(/[\s,;]+/).filter(Boolean);
  const wrong = ids.find((id) => !/^\d{1,19}$/.test(id) || BigInt(id) >= 2n ** 63n);
  if (wrong !== undefined) throw new Error(`${wrong.slice(0, 40)}: a source_id is a whole number of up to 19 digits.`);
  return ids;
}

let view = null, again = open;  // what the page shows or waits for, and how to request it again

/** Make room for another view, and return it. */
function clear() {
  job.leave();
  byId("answers").hidden = true;
  return view = {};
}

/** Show the answer of `request`; `picture` requests a star's picture, `kinds` can be downloaded. */
async function answer(mine, {request, picture, kinds, programs}) {
  const {stars} = parsed(await (await request("application/json")).text());
  const {not_good: reasons} = await health;
  if (mine !== view) return;
  byId("program").hidden = true;
  byId("as-curl").onclick = () => copy(programs().curl);
  byId("as-python").onclick = () => copy(programs().python);
  offerDownloads(byId("downloads"), kinds, (name) => request(ACCEPT[name]));
  const table = new StarTable(stars, {
    reasons,
    spectrumOf: async (star) => parsed(await (await picture(star, "application/json")).text()),
    save: (star) => during("Drawing", async () => save(await picture(star, "image/png"), "png", star.source_id)),
  });
  byId("answers").hidden = false;
  sumUp(stars);
  table.openFirst();
}

/** Show how many stars are good, and why some have no answer. */
function sumUp(stars) {
  const why = new Map();
  for (const {error} of stars) if (error) why.set(error, (why.get(error) ?? 0) + 1);
  const reasons = [...why].map(([error, count]) => `${error} (${counted(count, "star")})`).join("; ");
  const good = stars.filter((star) => star.good).length, answered = stars.filter((star) => !star.error).length;
  const without = reasons ? `, ${stars.length - answered} without an answer: ${reasons}` : "";
  const all = `${counted(stars.length, "star")}: ${good} good, ${answered - good} not good${without}.`;
  byId("summary").textContent = answered ? all : `No answer: ${reasons}`;
  byId("summary").className = answered ? "" : "error";
}

const address = (search) => history.pushState(null, "", `${location.pathname}${search}`);

function asJob(mine, why, path, options) {
  during(why, async () => {
    const id = await job.submit(path, options);
    if (mine !== view) return;
    address(`?job=${encodeURIComponent(id)}`);
    job.watch(id);
  });
}

async function askFor(ids) {
  const mine = clear();
  again = () => askFor(ids);
  const {max_stars: most} = await health;
  if (ids.length > most) {
    const body = `{"source_ids": [${ids.join(", ")}]}`;
    const why = `${counted(ids.length, "star")} are too many for one request: starting a job`;
    asJob(mine, why, "v1/jobs", {headers: JSON_BODY, body});
    return;
  }
  const post = (path, accept, body) => ask(path, {method: "POST", headers: {...JSON_BODY, Accept: accept}, body});
  during(`Requesting ${counted(ids.length, "star")}`, () => answer(mine, {
    request: (accept) => post("v1/predict", accept, starsOf(ids)),
    picture: (star, accept) => post("v1/picture", accept, starsOf([star.source_id])),
    kinds: ["CSV", "VOTable"],
    programs: () => ofIds(ids),
  }));
}

function take(file) {
  const mine = clear();
  again = () => take(file);
  const name = `name=${encodeURIComponent(file.name)}`;
  if (file.size > LARGE_FILE) {
    asJob(mine, "The file is large: starting a job", `v1/jobs?${name}`, {body: file});
    return;
  }
  address("");
  const post = (path, accept) => ask(path, {method: "POST", headers: {Accept: accept}, body: file});
  during("Reading the file", () => answer(mine, {
    request: (accept) => post(`v1/predict/file?${name}`, accept),
    picture: (star, accept) => post(`v1/picture/file?${name}&source_id=${star.source_id}`, accept),
    kinds: Object.keys(ACCEPT),
    programs: () => ofFile(file.name),
  }));
}

/** Show what the address names. */
function open() {
  clear();
  say("");
  again = open;
  const named = new URLSearchParams(location.search);
  if (named.has("job")) {
    job.watch(named.get("job"));
    return;
  }
  try {
    const ids = idsIn(named.getAll("id").join(" "));
    byId("ids").value = ids.join("\n");
    if (ids.length) askFor(ids);
  } catch (error) { say(error.message, true); }
}

function submit(event) {
  event.preventDefault();
  try {
    const ids = idsIn(byId("ids").value);
    if (!ids.length) throw new Error("Enter a source_id.");
    if (ids.length <= IDS_IN_ADDRESS) address(`?id=${ids.join(",")}`);
    else address("");
    askFor(ids);
  } catch (error) { say(error.message, true); }
}

byId("by-id").addEventListener("submit", submit);
byId("ids").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) submit(event); });
byId("example").addEventListener("click", (event) => {
  byId("ids").value = EXAMPLE;
  submit(event);
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  again();
});
byId("file").addEventListener("change", () => { if (byId("file").files[0]) take(byId("file").files[0]); });
const drop = byId("drop");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
addEventListener("popstate", open);

health.then(({model_version: model, archive}) => {
  byId("model").textContent =
    `Answered by the model ${model}, from Gaia's low-resolution XP spectra, with calibrated uncertainties.`;
  if (!archive) byId("id-help").textContent = "This endpoint does not query Gaia's archive: choose a file.";
  byId("example").hidden = !archive;
  open();
}).catch((error) => say(error.message, true));

// A job: too many stars for one request. It runs on the endpoint; the address of the page names it.

import {ask, byId, offerDownloads, Refusal, say} from "./endpoint.js";
import {counted} from "./words.js";

const EVERY_MS = 1000, LATER_MS = 5000;  // between two looks at a job, and if the endpoint is down or busy
const RESULTS = {CSV: "csv", VOTable: "votable", FITS: "fits", Parquet: "parquet"};
const MAX_VOTABLE_STARS = 100000;  // as serving/jobs/folder.py

let watched = null;

/** Submit a request, and return the job's id. */
export async function submit(path, options) {
  return (await (await ask(path, {...options, method: "POST"})).json()).id;
}

export function leave() {
  watched = null;
  byId("job").hidden = true;
}

/** Show a job, and follow it until it has ended. */
export async function watch(id) {
  const mine = watched = {};
  const path = `v1/jobs/${encodeURIComponent(id)}`;
  byId("job-title").textContent = `Job ${id}`;
  byId("job-cancel").onclick = () =>
    ask(path, {method: "DELETE"}).then(() => watch(id), (error) => say(error.message, true));
  offerDownloads(byId("job-downloads"), [], null);
  let before = null;
  while (watched === mine) {
    let wait = EVERY_MS;
    try {
      const job = await (await ask(path)).json();
      if (watched !== mine) return;
      show(job, path);
      if (job.state !== before) say(`Job ${job.state}.`, job.state === "failed");
      before = job.state;
      if (!["queued", "running"].includes(job.state)) return;
    } catch (error) {
      if (watched !== mine) return;
      say(error instanceof TypeError ? "The endpoint does not answer; retrying …" : error.message, true);
      before = null;  // the state must be shown again
      const final = error instanceof Refusal && error.status < 500 && error.status !== 429;
      if (final) return;
      wait = LATER_MS;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function show(job, path) {
  const bar = byId("job-progress"), runs = ["queued", "running"].includes(job.state);
  bar.hidden = !runs && job.state !== "done";
  if (job.stars) {
    bar.max = job.stars;
    bar.value = job.done;
  } else bar.removeAttribute("value");
  const rejected = job.rejected ? `, ${job.rejected.toLocaleString("en")} of them rejected` : "";
  const soFar = job.stars ? `: ${job.done.toLocaleString("en")} of ${counted(job.stars, "star")}${rejected}` : "";
  byId("job-state").textContent = `${job.state}${soFar}${job.error ? `: ${job.error}` : ""}`;
  byId("job-state").className = job.state === "failed" ? "error" : "";
  const until = new Date(job.expires).toLocaleString();
  byId("job-kept").textContent = `Bookmark this page to come back. Kept until ${until}.`;
  byId("job-cancel").hidden = !runs;
  if (job.state === "done") {
    const result = (name) => ask(`${path}/result?format=${RESULTS[name]}`);
    const offered = Object.keys(RESULTS).filter((name) => name !== "VOTable" || job.stars <= MAX_VOTABLE_STARS);
    offerDownloads(byId("job-downloads"), offered, result);
  }
  byId("job").hidden = false;
}

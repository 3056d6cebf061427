// The answers: one row per star, sorted by any column; an open star shows its spectrum and its flags in words.

import {byId, made} from "./endpoint.js";
import {figure} from "./spectrum.js";
import {measured, number} from "./words.js";

const SHOWN = 200;  // a browser is slow with more rows
const CHIPS = 2;  // flags shown in a row; the others are counted

const COLUMNS = [
  {head: "source_id", text: (star) => star.source_id ?? "unreadable", value: (star) => BigInt(star.source_id)},
  {head: "[Fe/H]", text: (star) => measured(star.FEH, star.FEH_err), value: (star) => star.FEH},
  {head: "68 % interval", text: interval, value: (star) => star.FEH_err, hint: "sorts by its width"},
  {head: "T_eff (K)", of: "TEFF", text: (star) => measured(star.TEFF, star.TEFF_err, 0), value: (star) => star.TEFF},
  {head: "log g", of: "LOGG", text: (star) => measured(star.LOGG, star.LOGG_err), value: (star) => star.LOGG},
  {
    head: "[α/M]", of: "ALPHA_M", text: (star) => measured(star.ALPHA_M, star.ALPHA_M_err),
    value: (star) => star.ALPHA_M,
  },
  {head: "good", value: (star) => (star.good ? 0 : 100) + star.flag_names.length, hint: "good stars first"},
];

function interval(star) {
  if (star.FEH === null) return "none";
  return `${number(star.FEH_lo68)} to ${number(star.FEH_hi68)}`;
}

/** A flag by its name; what it means shows on hover, and is read aloud. */
function chip(text, meaning, kind = "") {
  const spoken = made("span", {className: "spoken", textContent: meaning ? `: ${meaning}. ` : ". "});
  return made("span", {className: `chip ${kind}`, title: meaning}, text, spoken);
}

/** The table of the stars of an answer.
 *
 * `spectrumOf(star)` gives the numbers of its spectrum, `save(star)` keeps its picture, `reasons` are the names of the
 * flags that keep a star from being good.
 */
export class StarTable {
  constructor(stars, {spectrumOf, save, reasons}) {
    this.stars = stars.map((star) => ({flag_names: [], ...star}));
    this.spectrumOf = spectrumOf;
    this.save = save;
    this.reasons = new Set(reasons);
    this.columns = COLUMNS.filter(({of}) => !of || stars.some((star) => star[of] != null));
    this.rows = new Map();
    this.sorted = {column: null, direction: null};
    this.#head();
    this.#body();
  }

  openFirst() {
    const first = this.stars.slice(0, SHOWN).find((star) => !star.error);
    if (first) this.#toggle(first);
  }

  #head() {
    const heads = this.columns.map((column) => {
      const button = made("button", {type: "button", textContent: column.head, title: column.hint ?? ""});
      button.addEventListener("click", () => this.#sortBy(column));
      const th = made("th", {scope: "col"}, button);
      th.setAttribute("role", "columnheader");
      return th;
    });
    const last = made("th", {scope: "col"}, made("span", {className: "spoken", textContent: "spectrum"}));
    last.setAttribute("role", "columnheader");
    byId("heads").replaceChildren(...heads, last);
  }

  /** Sort upwards, then downwards, then as requested. */
  #sortBy(column) {
    const next = {ascending: "descending", descending: null}[this.sorted.direction];
    const direction = this.sorted.column === column ? next : "ascending";
    this.sorted = {column, direction};
    this.columns.forEach((each, place) => {
      const th = byId("heads").children[place];
      if (each === column && direction) th.setAttribute("aria-sort", direction);
      else th.removeAttribute("aria-sort");
    });
    this.#body();
  }

  #inOrder() {
    const {column, direction} = this.sorted;
    if (!direction) return this.stars;
    const sign = direction === "ascending" ? 1 : -1;
    const known = (star) => !star.error && column.value(star) != null;
    const values = new Map(this.stars.filter(known).map((star) => [star, column.value(star)]));
    const compare = (a, b) => values.get(a) < values.get(b) ? -sign : values.get(a) > values.get(b) ? sign : 0;
    return [...this.stars.filter(known).sort(compare), ...this.stars.filter((star) => !known(star))];
  }

  #body() {
    byId("rows").replaceChildren(...this.#inOrder().slice(0, SHOWN).flatMap((star) => this.#rowsOf(star)));
    const left = this.stars.length - SHOWN;
    byId("more").textContent = left > 0 ? `${left.toLocaleString("en")} more stars are in the downloads.` : "";
  }

  #rowsOf(star) {
    if (!this.rows.has(star)) this.rows.set(star, [this.#row(star)]);
    return this.rows.get(star);
  }

  #row(star) {
    const row = made("tr");
    row.setAttribute("role", "row");
    const add = (what, content, kind = "") => {
      const td = made("td", {className: kind}, ...content);
      td.setAttribute("role", "cell");
      td.dataset.what = what;
      row.append(td);
    };
    const shown = star.error ? this.columns.slice(0, 1) : this.columns.filter(({text}) => text);
    for (const {head, text} of shown) add(head, [text(star)], "number");
    if (star.error) {
      add("good", [chip("no answer", star.error, "bad")], "flags");
      row.lastChild.colSpan = this.columns.length;
      return row;
    }
    add("good", this.#chips(star), "flags");
    const button = made("button", {type: "button", textContent: "spectrum"});
    button.setAttribute("aria-label", `spectrum of ${star.source_id}`);
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => this.#toggle(star));
    add("", [button]);
    return row;
  }

  /** Whether a star is good; if not, first why. */
  #chips(star) {
    const flags = this.#flags(star);
    const more = flags.slice(CHIPS);
    const chips = flags.slice(0, CHIPS).map(({name, meaning, kind}) => chip(name, meaning, kind));
    if (more.length) chips.push(chip(`+${more.length}`, more.map(({text}) => text).join("\n")));
    return [chip(star.good ? "good" : "not good", "", star.good ? "good" : "bad"), ...chips];
  }

  #flags(star) {
    const flags = star.flag_names.map((text) => {
      const [name, ...meaning] = text.split(": ");
      return {name, text, meaning: meaning.join(": "), kind: this.reasons.has(name) ? "bad" : ""};
    });
    return flags.sort((a, b) => b.kind.length - a.kind.length);
  }

  #toggle(star) {
    const rows = this.#rowsOf(star);
    const button = rows[0].querySelector("button");
    const opened = rows.length === 1;
    button.setAttribute("aria-expanded", String(opened));
    if (!opened) {
      rows.pop().remove();
      return;
    }
    const cell = made("td", {colSpan: this.columns.length + 1}, "Reading the spectrum …");
    cell.setAttribute("role", "cell");
    rows.push(made("tr", {className: "open"}, cell));
    rows[1].setAttribute("role", "row");
    rows[0].after(rows[1]);
    this.spectrumOf(star).then(
      (spectrum) => cell.replaceChildren(figure(star, spectrum, () => this.save(star)), this.#meanings(star)),
      (error) => cell.replaceChildren(made("span", {className: "error", textContent: error.message})),
    );
  }

  #meanings(star) {
    return made("ul", {className: "meanings"}, ...this.#flags(star).map(({name, meaning, kind}) =>
      made("li", {}, chip(name, "", kind), meaning)));
  }
}

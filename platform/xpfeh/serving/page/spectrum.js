// A star's spectrum with its error, what its [Fe/H] depends on, and [Fe/H] with its intervals: drawn as SVG.

import {made} from "./endpoint.js";
import {measured, number} from "./words.js";

const LEFT = 46, RIGHT = 8;  // px; room for the numbers at the vertical axes
const FLUX = {top: 14, height: 190}, CHANGE = {top: 228, height: 84}, SPECTRUM_HEIGHT = 348;
const FEH = {top: 18, height: 30}, FEH_HEIGHT = 84;

/** Return the figure of a star: its spectrum with a pointer to the samples, [Fe/H], and a button to keep it. */
export function figure(star, spectrum, keep) {
  const drawing = made("div", {className: "drawing"}), feh = made("div");
  const readout = made("p", {className: "readout"});
  const samples = spectrum.wavelength_nm;
  const pointer = made("input", {type: "range", min: 0, max: samples.length - 1, value: nearest(samples, 550)});
  pointer.setAttribute("aria-label", `wavelength in the spectrum of ${star.source_id}`);
  const png = made("button", {type: "button", textContent: "Download PNG"});
  png.addEventListener("click", keep);
  const show = () => {
    const words = at(spectrum, Number(pointer.value));
    readout.textContent = words;
    pointer.setAttribute("aria-valuetext", words);
    const x = drawing.scale?.(samples[pointer.value]);
    drawing.querySelector(".pointer")?.setAttribute("d", `M${x} ${FLUX.top}V${CHANGE.top + CHANGE.height}`);
  };
  pointer.addEventListener("input", show);
  drawing.addEventListener("pointermove", (event) => {
    const nm = drawing.scale.inverse(event.clientX - drawing.getBoundingClientRect().left);
    pointer.value = nearest(samples, nm);
    show();
  });
  new ResizeObserver(() => {
    const width = drawing.clientWidth;
    if (!width) return;  // removed from the page
    draw(drawing, star, spectrum);
    feh.replaceChildren(svg(width, FEH_HEIGHT, fehInWords(star), fehPanel(star, spectrum.labels, width)));
    show();
  }).observe(drawing);
  const caption = made("figcaption", {}, ...aside(star).map((words) => made("span", {textContent: words})), png);
  return made("figure", {}, drawing, pointer, readout, feh, caption);
}

/** The lines of numbers next to a star's spectrum. */
function aside(star) {
  const known = [["G", star.PHOT_G_MEAN_MAG], ["(BP−RP)₀", star.BP_RP0], ["E(B−V)", star.EBV], ["M_G", star.M_G]];
  const interval = `95 % interval ${number(star.FEH_lo95)} to ${number(star.FEH_hi95)}`;
  const words = known.filter(([, value]) => value != null).map(([name, value]) => `${name} ${number(value)}`);
  return star.FEH == null ? words : [interval, ...words];
}

/** A sample in words. */
function at(spectrum, place) {
  const nm = spectrum.wavelength_nm[place];
  if (spectrum.flux[place] == null) return `${nm} nm: no flux`;
  const range = nearest(spectrum.range_nm, nm), change = spectrum.feh_change[range];
  const flux = `${nm} nm: flux ${measured(spectrum.flux[place], spectrum.flux_error[place], 3)}`;
  if (change == null) return flux;
  const by = `${change > 0 ? "+" : ""}${change.toFixed(3)} dex`;
  return `${flux}; 1 % more around ${spectrum.range_nm[range].toFixed(0)} nm changes [Fe/H] by ${by}`;
}

const nearest = (values, value) =>
  values.reduce((best, each, place) => Math.abs(each - value) < Math.abs(values[best] - value) ? place : best, 0);

/** Return a linear scale from values to px, with its inverse. */
function scale([low, high], [from, to]) {
  const px = (value) => from + (value - low) / (high - low) * (to - from);
  px.inverse = (x) => low + (x - from) / (to - from) * (high - low);
  return px;
}

function draw(drawing, star, spectrum) {
  const width = drawing.clientWidth, nm = spectrum.wavelength_nm;
  const x = drawing.scale = scale([nm[0], nm.at(-1)], [LEFT, width - RIGHT]);
  const words = `Spectrum of ${star.source_id} with its error, and how 1 % more flux in each range changes [Fe/H]`;
  const parts = [
    ...fluxPanel(spectrum, x, width), ...changePanel(spectrum, x, width),
    ...axisBelow(x, [400, 500, 600, 700, 800, 900, 1000], CHANGE.top + CHANGE.height, "wavelength (nm)"),
    node("path", {class: "pointer"}),
  ];
  drawing.replaceChildren(svg(width, SPECTRUM_HEIGHT, words, parts));
}

function svg(width, height, words, parts) {
  const whole = node("svg", {width, height, role: "img", "aria-label": words});
  whole.append(...parts);
  return whole;
}

function fehInWords(star) {
  if (star.FEH == null) return "no [Fe/H]";
  const interval = `68 % interval ${number(star.FEH_lo68)} to ${number(star.FEH_hi68)}`;
  return `[Fe/H] ${number(star.FEH)}, ${interval}, over the range of the training stars`;
}

function fluxPanel({wavelength_nm: nm, flux, flux_error: error}, x, width) {
  const known = nm.map((_, place) => place).filter((place) => flux[place] != null);
  if (!known.length) return [text(LEFT, FLUX.top + 40, "no usable spectrum")];
  const ends = (sign) => known.map((place) => flux[place] + sign * (error[place] ?? 0));
  const values = known.map((place) => flux[place]);
  const low = Math.min(0, ...values), high = 1.05 * Math.max(...values);
  const y = scale([low, high], [FLUX.top + FLUX.height, FLUX.top]);
  const clipped = (value) => y(Math.min(Math.max(value, low), high));  // errors at the ends are larger than the panel
  const line = (values) => known.map((place, i) => `${x(nm[place]).toFixed(1)} ${clipped(values[i]).toFixed(1)}`);
  return [
    ...axisLeft(y, ticks(low, high, 3), width, "flux, 1 around 550 nm", FLUX.top),
    node("path", {class: "band", d: `M${[...line(ends(1)), ...line(ends(-1)).reverse()].join("L")}Z`}),
    node("path", {class: "flux", d: `M${line(ends(0)).join("L")}`}),
  ];
}

function changePanel({range_nm: nm, feh_change: change}, x, width) {
  const known = nm.map((_, place) => place).filter((place) => change[place] != null);
  if (!known.length) return [];
  const most = 1.1 * Math.max(1e-6, ...known.map((place) => Math.abs(change[place])));
  const y = scale([-most, most], [CHANGE.top + CHANGE.height, CHANGE.top]);
  const bar = 0.85 * (x(nm[1]) - x(nm[0]));
  return [
    ...axisLeft(y, ticks(-most, most, 3), width, "change of [Fe/H] by 1 % more flux (dex)", CHANGE.top),
    ...known.map((place) => node("rect", {
      class: change[place] < 0 ? "down" : "up", x: x(nm[place]) - bar / 2, width: bar,
      y: Math.min(y(0), y(change[place])), height: Math.abs(y(change[place]) - y(0)),
    })),
  ];
}

/** [Fe/H] over the range of the training labels; an open end reaches the edge. */
function fehPanel(star, [low, high], width) {
  if (star.FEH == null) return [text(LEFT, FEH.top + 20, "no [Fe/H]")];
  const ends = [low - 0.7, high + 0.7], x = scale(ends, [LEFT, width - RIGHT]), middle = FEH.top + FEH.height / 2;
  const bar = (from, to, kind) =>
    node("path", {class: kind, d: `M${x(from ?? ends[0])} ${middle}H${x(to ?? ends[1])}`});
  return [
    node("rect", {class: "labels", x: x(low), y: FEH.top, width: x(high) - x(low), height: FEH.height}),
    text(x(low), FEH.top - 4, "range of the training stars"),
    bar(star.FEH_lo95, star.FEH_hi95, "of95"), bar(star.FEH_lo68, star.FEH_hi68, "of68"),
    node("circle", {class: "estimate", cx: x(star.FEH), cy: middle, r: 4}),
    ...axisBelow(x, ticks(...ends, width < 500 ? 3 : 8), FEH.top + FEH.height, "[Fe/H] (dex), 68 % and 95 %"),
  ];
}

function axisLeft(y, values, width, title, top) {
  return [
    ...values.flatMap((value) => [
      node("path", {class: "grid", d: `M${LEFT} ${y(value)}H${width - RIGHT}`}),
      text(LEFT - 6, y(value) + 4, tidy(value), "end"),
    ]),
    text(LEFT + 4, top - 1, title),
  ];
}

function axisBelow(x, values, y, title) {
  const centre = (x(values[0]) + x(values.at(-1))) / 2;
  const numbers = values.map((value) => text(x(value), y + 15, tidy(value), "middle"));
  return [...numbers, text(centre, y + 31, title, "middle")];
}

/** Round numbers between two ends, at least about as many as wanted. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [5, 2, 1].find((each) => each * power <= rough);
  const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
  return Array.from({length: count}, (_, i) => (first + i) * step);
}

const tidy = (value) => String(Number(value.toPrecision(6)) || 0);  // 0.30000000000000004, and no -0

function node(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function text(x, y, words, anchor = "start") {
  const element = node("text", {x, y, "text-anchor": anchor});
  element.textContent = words;
  return element;
}

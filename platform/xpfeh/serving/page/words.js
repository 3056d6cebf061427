// Numbers in words.

const withoutMinusZero = (text) => text.replace(/^-(0\.?0*)$/, "$1");

export const number = (value, digits = 2) => value == null ? "open" : withoutMinusZero(value.toFixed(digits));

export const measured = (value, error, digits = 2) =>
  value == null ? "none" : `${number(value, digits)} ± ${number(error, digits)}`;

export const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

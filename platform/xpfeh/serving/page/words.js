// Numbers in words.

export const number = (value, digits = 2) => value == null ? "open" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");  // no -0.00

export const measured = (value, error, digits = 2) =>
  value == null ? "none" : `${number(value, digits)} ± ${number(error, digits)}`;

export const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

// Formats numbers, amounts, addresses and times for display.

import { el } from "./dom.js";

const DECIMALS = 18;
const READ_AT_A_GLANCE = 4;
const grouped = new Intl.NumberFormat("en-GB");

/** Wei as COR, exactly: every digit, no rounding. */
export function cor(wei) {
  const amount = BigInt(wei);
  const digits = (amount < 0n ? -amount : amount).toString().padStart(DECIMALS + 1, "0");
  const whole = grouped.format(BigInt(digits.slice(0, -DECIMALS)));
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, "");
  return `${amount < 0n ? "−" : ""}${whole}${fraction ? `.${fraction}` : ""}`;
}

/** An element for an exact amount, whose far decimals stand back. */
export function corElement(wei) {
  const text = cor(wei);
  const point = text.indexOf(".");
  const end = point < 0 ? text.length : point + 1 + READ_AT_A_GLANCE;
  const fine = text.slice(end);
  const element = el("data", { value: wei, class: "cor" }, text.slice(0, end));
  if (fine) element.append(el("span", { class: "fine" }, fine));
  return element;
}

export const count = (number) => grouped.format(number);

/** `one` or `many` with its number. */
export const counted = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

export const shortHex = (hex) => (hex.length > 14 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex);

/** An element for an address or a hash: short to see, whole for pointer and copy. */
export const hexElement = (hex) => el("span", { class: "hex", title: hex }, shortHex(hex));

/** A span between two ISO times, in the unit that suits it. */
export function between(from, to) {
  return duration(new Date(to) - new Date(from));
}

export function duration(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

export const percent = (basisPoints) => `${(basisPoints / 100).toFixed(1).replace(".0", "")} %`;

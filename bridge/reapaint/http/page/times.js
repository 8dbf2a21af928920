/** Return seconds as people read them, such as 1:02.345. */
export function clock(seconds) {
  const thousandths = Math.round(seconds * 1000);
  const minutes = Math.floor(thousandths / 60_000);
  const rest = ((thousandths % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return `${minutes}:${rest}`;
}

/** Return seconds as they are spoken, such as 1.5 seconds. */
export function spoken(seconds) {
  return `${Number(seconds.toFixed(3))} seconds`;
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

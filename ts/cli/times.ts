/** Times and durations as a person reads them. */

/** "3 s", "5 min", "2 h 10 min", "4 d 3 h": how long ago something was. "–" where it never was. */
export function age(since: string | null, now: number): string {
  if (since === null) return '–';
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A duration in milliseconds with as many digits as say something; "–" where there is none. */
export function milliseconds(duration: number | null): string {
  if (duration === null) return '–';
  if (duration >= 10_000) return `${(duration / 1_000).toFixed(0)} s`;
  return `${duration >= 100 || Number.isInteger(duration) ? duration.toFixed(0) : duration.toFixed(1)} ms`;
}

/** The clock of this place: "11:02:03", with `precise` "2026-11-26 11:02:03.123". */
export function clock(at: string | number, { precise = false }: { precise?: boolean } = {}): string {
  const date = new Date(at);
  const two = (number: number): string => `${number}`.padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (!precise) return time;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${time}.${`${date.getMilliseconds()}`.padStart(3, '0')}`;
}

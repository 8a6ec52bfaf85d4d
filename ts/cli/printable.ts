/** Text of others, made fit for a terminal. */

/**
 * Replaces what could move the cursor, change colours or forge a line: control characters and the marks that turn the direction of
 * writing. Notes of whoever holds routes, and the errors of a backend, are not ours.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd');
}

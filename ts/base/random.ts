/** Random numbers of the system, for discriminators and seeds. */

/** 32 random bits. (Importing `node:crypto` instead takes a fifth of the package's loading time.) */
export function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** Secrets of the system's making: discriminators and seeds. */

/** 32 random bits. (`node:crypto` does the same and takes a fifth of the package's whole loading time.) */
export function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

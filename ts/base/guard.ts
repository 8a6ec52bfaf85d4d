/** Calls into code of the user's: what fails there is reported, and reaches nobody else. */

/**
 * Makes a call whose result nobody needs. What it throws, or what its promise (or any thenable) rejects with, goes to
 * `failed`.
 */
export function callGuarded(call: () => unknown, failed: (thrown: unknown) => void): void {
  try {
    const outcome = call();
    if (isObject(outcome)) settled(outcome).catch(failed);
  } catch (thrown) {
    failed(thrown);
  }
}

/** The result of a call, or `otherwise` where it throws. */
export function readGuarded<T>(call: () => T, otherwise: T): T {
  try {
    return call();
  } catch {
    return otherwise;
  }
}

/** The result of a call as a promise of ours: it rejects where the call throws, and adopts whatever thenable it gives. */
export async function promised<T>(call: () => T | PromiseLike<T>): Promise<T> {
  return call();
}

/** A warning of the process with a code: where there is no logger, or where it is the logger that fails. */
export function warnProcess(code: string, message: string): void {
  process.emitWarning(message, { type: 'LivenessWarning', code });
}

function settled(outcome: unknown): Promise<unknown> {
  // Of the language's own making: a promise of another kind may have a `then` that throws.
  return new Promise((resolve) => {
    resolve(outcome);
  });
}

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

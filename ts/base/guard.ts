/** Calls of the user's code whose failure must not spread. */

/**
 * Makes a call and ignores its result. `failed` gets what the call throws, or what its promise (or any thenable) rejects with.
 */
export function callGuarded(call: () => unknown, failed: (thrown: unknown) => void): void {
  try {
    const outcome = call();
    if (isObject(outcome)) settled(outcome).catch(failed);
  } catch (thrown) {
    failed(thrown);
  }
}

/** The result of a call, or `otherwise` if it throws. */
export function readGuarded<T>(call: () => T, otherwise: T): T {
  try {
    return call();
  } catch {
    return otherwise;
  }
}

/** The result of a call as a native promise: rejects if the call throws, and adopts any thenable. */
export async function promised<T>(call: () => T | PromiseLike<T>): Promise<T> {
  return call();
}

/** Warns the process, if there is no logger or the logger itself fails. */
export function warnProcess(code: string, message: string): void {
  process.emitWarning(message, { type: 'LivenessWarning', code });
}

function settled(outcome: unknown): Promise<unknown> {
  // A native promise, since the `then` of another thenable may throw.
  return new Promise((resolve) => {
    resolve(outcome);
  });
}

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** Requires modules from the place of this package, or of the bundle that contains it. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { codeOf } from './errors.js';
import packages from './optional-packages.cjs';

/** The URL of the file that this code is in; `undefined` in a CommonJS bundle. */
export const HERE = import.meta.url as string | undefined;

/** What `require` of an optional package returned or threw. */
export type Required = { readonly exports: unknown } | { readonly error: unknown };

/**
 * The exports of an optional package.
 *
 * @throws what `require` has thrown
 */
export function exportsOf(required: Required, name: string): unknown {
  // Some bundlers put the path of an addon in the place of its exports.
  if ('exports' in required) return typeof required.exports === 'string' ? requireHere()(required.exports) : required.exports;
  // A bundle of ES modules has no `require`; each bundler has an error of its own for that, without a code.
  if (codeOf(required.error) === undefined) return requireHere()(name);
  throw required.error;
}

export function requireHere(): NodeJS.Require {
  return createRequire(HERE ?? packages.FILENAME ?? pathToFileURL(join(process.cwd(), 'index.js')));
}

/** Fields of what users hand over: each is what it should be, or an issue that says what that is. */
import * as v from 'valibot';

import { type ConfigIssue, expected } from './errors.js';
import { readGuarded } from './guard.js';

/** A field that is what it should be, or an issue whose message says what that is. */
export function field<T>(what: string, holds: (value: unknown) => boolean) {
  return v.custom<T>(holds, what);
}

export const duration = (most: number) =>
  field<number>(`a number of milliseconds above 0 and at most ${most}`, (value) => isNumberIn(value, 0.001, most));
export const integer = (least: number, most: number) =>
  field<number>(`an integer from ${least} to ${most}`, (value) => Number.isInteger(value) && isNumberIn(value, least, most));
export const flag = field<boolean>('a boolean', (value) => typeof value === 'boolean');

/** Unknown names are issues: a misspelt option must not be ignored. */
export function object<T extends v.ObjectEntries>(entries: T) {
  return v.strictObject(entries, `an object; its options are ${Object.keys(entries).join(', ')}`);
}

/** The issues that valibot found, in our words: only here is it known where in the configuration each stands. */
export function worded(found: readonly v.BaseIssue<unknown>[] | undefined): ConfigIssue[] {
  return (found ?? []).map((issue) => {
    const path = v.getDotPath(issue) ?? '';
    const isUnknown = issue.type === 'strict_object' && issue.expected === 'never';
    const isMissing = issue.type === 'strict_object' && issue.received === 'undefined' && path !== '';
    if (isUnknown) return { path, message: `Unknown option \`${path}\`; expected ${issue.message}` };
    if (isMissing) return { path, message: `Expected \`${path}\` to be given: it has no default` };
    return { path, message: expected(path, issue.message, issue.input) };
  });
}

export function hasMethods(value: unknown, names: readonly string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  // A getter of the user's may throw.
  return readGuarded(() => names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function'), false);
}

function isNumberIn(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most;
}

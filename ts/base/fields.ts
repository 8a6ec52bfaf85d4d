/** Fields of what users hand over: each is what it should be, or an issue that says what that is. */
import * as v from 'valibot';

import { ConfigError, type ConfigIssue, expected, messageOf } from './errors.js';
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

/** Any function: only the call will tell whether it is the right one. */
export const functionField = <T>() => field<T>('a function', (value) => typeof value === 'function');
export const signalField = field<AbortSignal>('an AbortSignal', isSignal);

/** The one option of what can be aborted. */
export const SIGNAL_SCHEMA = object({ signal: v.optional(signalField) });

/** Unknown names are issues: a misspelt option must not be ignored. */
export function object<T extends v.ObjectEntries>(entries: T) {
  return v.strictObject(entries, `an object; its options are ${Object.keys(entries).join(', ')}`);
}

/** What `object` makes of entries. */
type ObjectSchema<T extends v.ObjectEntries> = v.StrictObjectSchema<T, string>;

/**
 * The options that somebody was given, read once; `undefined` is none of them. Fields that are `undefined` are left out: they
 * mean the default.
 *
 * @param path what it is called in messages
 * @throws ConfigError `ERR_CONFIG`, with every issue at once
 */
export function optionsOf<T extends v.ObjectEntries>(
  schema: ObjectSchema<T>,
  given: unknown,
  path = 'options',
): v.InferOutput<ObjectSchema<T>> {
  const { output, issues } = parsed(schema, given === undefined ? {} : given, path);
  if (issues.length > 0) throw new ConfigError(issues);
  return output;
}

/** What was given, as the schema has it, and everything that is wrong with it. */
export function parsed<T extends v.ObjectEntries>(
  schema: ObjectSchema<T>,
  given: unknown,
  path = '',
): { output: v.InferOutput<ObjectSchema<T>>; issues: ConfigIssue[] } {
  const output = {} as v.InferOutput<ObjectSchema<T>>;
  const names = Object.keys(schema.entries);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return { output, issues: [{ path: '', message: expected(path, `an object; its options are ${names.join(', ')}`, given) }] };
  }
  try {
    const result = v.safeParse(schema, given);
    const unknown = unknownNames(given, names);
    const issues = worded(result.issues?.filter((issue) => !isUnknownName(issue) || v.getDotPath(issue)?.includes('.') === true));
    issues.push(...unknown.map((name) => ({ path: name, message: unknownName(name, schema.message) })));
    return { output: result.success ? (definedOf(result.output) as typeof output) : output, issues };
  } catch (cause) {
    // A getter of the user's throws.
    return { output, issues: [{ path: '', message: `${path === '' ? 'The value' : `\`${path}\``} cannot be read: ${messageOf(cause)}` }] };
  }
}

/** Inherited names as well: an AbortSignal in place of `{ signal }` has names only there. */
function unknownNames(given: object, known: readonly string[]): string[] {
  const unknown: string[] = [];
  for (const name in given) if (!known.includes(name)) unknown.push(name);
  return unknown;
}

export function definedOf<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** The issues that valibot found, in our words: only here is it known where in the configuration each stands. */
export function worded(found: readonly v.BaseIssue<unknown>[] | undefined): ConfigIssue[] {
  return (found ?? []).map((issue) => {
    const path = v.getDotPath(issue) ?? '';
    const isMissing = issue.type === 'strict_object' && issue.received === 'undefined' && path !== '';
    if (isUnknownName(issue)) return { path, message: unknownName(path, issue.message) };
    if (isMissing) return { path, message: `Expected \`${path}\` to be given: it has no default` };
    return { path, message: expected(path, issue.message, issue.input) };
  });
}

function isUnknownName(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

function unknownName(path: string, known: string): string {
  return `Unknown option \`${path}\`; expected ${known}`;
}

function isSignal(value: unknown): boolean {
  const methods = ['addEventListener', 'removeEventListener'];
  return hasMethods(value, methods) && readGuarded(() => typeof (value as AbortSignal).aborted === 'boolean', false);
}

export function hasMethods(value: unknown, names: readonly string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  // A getter of the user's may throw.
  return readGuarded(() => names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function'), false);
}

function isNumberIn(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most;
}

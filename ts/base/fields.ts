/**
 * Validation of options: valibot's schemas, with messages of the form "Expected `x` to be …, got …". The message of each schema
 * is the text after "to be". Routes are validated by `route.ts` without schemas: there may be tens of thousands in one call.
 */
import * as v from 'valibot';

import { canonicalAddress } from './address.js';
import { ConfigError, type ConfigIssue, expected, messageOf } from './errors.js';
import { readGuarded } from './guard.js';
import { didYouMean } from './nearest-name.js';

/** The options that the message of each schema lists. */
const NAMES = new Map<string, readonly string[]>();

/** A field for which valibot has no schema, since only its shape counts: another realm's or the user's own object will do. */
export function field<T>(expected: string, holds: (value: unknown) => boolean) {
  return v.custom<T>(holds, expected);
}

export function duration(max: number) {
  const expected = `a number of milliseconds above 0 and at most ${max}`;
  return v.pipe(v.number(expected), v.minValue(0.001, expected), v.maxValue(max, expected));
}

/** A time that has a least value, such as 0. */
export function timeSpan(min: number, max: number) {
  const expected = `a number of milliseconds from ${min} to ${max}`;
  return v.pipe(v.number(expected), v.minValue(min, expected), v.maxValue(max, expected));
}

export function integer(min: number, max: number) {
  const expected = `an integer from ${min} to ${max}`;
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(min, expected), v.maxValue(max, expected));
}

export const flag = v.boolean('a boolean');

/** One of several texts. */
export function choice<const T extends readonly string[]>(options: T) {
  const quoted = options.map((option) => `'${option}'`);
  return v.picklist(options, `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`);
}

const ADDRESS = 'an IPv4 or IPv6 address';

/** An address of an interface that another option names. The output is the address in canonical form. */
export const addressField = v.pipe(
  v.string(ADDRESS),
  v.check((text) => !text.includes('%'), `${ADDRESS} without a zone, since \`iface\` names the interface`),
  v.check((text) => canonicalAddress(text) !== undefined, ADDRESS),
  v.transform((text) => canonicalAddress(text) ?? text),
);

/** A function. Its parameters and result cannot be checked. */
export const functionField = <T>() => field<T>('a function', (value) => typeof value === 'function');
const signalField = field<AbortSignal>('an AbortSignal', isSignal);

/** The options of a call that a signal can abort. */
export const SIGNAL_SCHEMA = object({ signal: v.optional(signalField) });

/** An object of options. An unknown name is an issue: a misspelt option must not be ignored. */
export function object<T extends v.ObjectEntries>(entries: T) {
  const names = Object.keys(entries);
  const message = `an object; its options are ${names.join(', ')}`;
  NAMES.set(message, names);
  return v.strictObject(entries, message);
}

/** The schema that `object` returns. */
type ObjectSchema<T extends v.ObjectEntries> = v.StrictObjectSchema<T, string>;

/**
 * Validates options and reads each once. `undefined` means no options. Fields that are `undefined` are left out: they mean the
 * default.
 *
 * @param path the name of the argument in messages
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

/** The validated value, and all issues. */
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
    const result = v.safeParse(schema, given, { abortPipeEarly: true });
    const unknown = unknownNames(given, names);
    const issues = toIssues(result.issues?.filter((issue) => !isUnknownName(issue) || v.getDotPath(issue)?.includes('.') === true));
    issues.push(...unknown.map((name) => ({ path: name, message: unknownName(name, name, schema.message) })));
    return { output: result.success ? (definedOf(result.output) as typeof output) : output, issues };
  } catch (cause) {
    // A getter of the user has thrown.
    return { output, issues: [{ path: '', message: `${path === '' ? 'The value' : `\`${path}\``} cannot be read: ${messageOf(cause)}` }] };
  }
}

/** Includes inherited names: an AbortSignal in place of `{ signal }` has no others. */
function unknownNames(given: object, known: readonly string[]): string[] {
  const unknown: string[] = [];
  for (const name in given) if (!known.includes(name)) unknown.push(name);
  return unknown;
}

/** A copy without the fields that are `undefined`. */
export function definedOf<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** Valibot's issues with our messages, which contain the path. */
function toIssues(found: readonly v.BaseIssue<unknown>[] | undefined): ConfigIssue[] {
  return (found ?? []).map((issue) => {
    const path = v.getDotPath(issue) ?? '';
    const isMissing = issue.type === 'strict_object' && issue.received === 'undefined' && path !== '';
    if (isUnknownName(issue)) return { path, message: unknownName(path, path.split('.').at(-1) ?? '', issue.message) };
    if (isMissing) return { path, message: `Expected \`${path}\` to be given: it has no default` };
    return { path, message: expected(path, issue.message, issue.input) };
  });
}

function isUnknownName(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

/** @param message of the schema */
function unknownName(path: string, name: string, message: string): string {
  return `Unknown option \`${path}\`${didYouMean(name, NAMES.get(message) ?? [])}; expected ${message}`;
}

function isSignal(value: unknown): boolean {
  const methods = ['addEventListener', 'removeEventListener'];
  return hasMethods(value, methods) && readGuarded(() => typeof (value as AbortSignal).aborted === 'boolean', false);
}

export function hasMethods(value: unknown, names: readonly string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  // A getter of the user may throw.
  return readGuarded(() => names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function'), false);
}

/** Parts of a configuration file, each checked by a schema of its own. */
import type * as v from 'valibot';

import { expected } from '../../base/errors.js';
import { type object, parsed } from '../../base/fields.js';
import type { Issues } from './issues.js';
import type { PartPath } from './source-file.js';

type Schema<T extends v.ObjectEntries> = ReturnType<typeof object<T>>;

/** A checked part of a file; its fields are all optional, since faults are collected and reading goes on. */
export type Section<T extends v.ObjectEntries> = Partial<v.InferOutput<Schema<T>>>;

/** The valid fields of a part. Its faults are collected. A part that is empty or left out has no fields. */
export function checkedSection<T extends v.ObjectEntries>(schema: Schema<T>, given: unknown, path: PartPath, issues: Issues): Section<T> {
  const value = given ?? {};
  const { output, issues: found } = parsed(schema, value, String(path.at(-1) ?? ''));
  issues.addAll(path, found);
  if (found.length === 0) return output;
  if (typeof value !== 'object' || Array.isArray(value)) return {};
  // What follows is checked, too, but for the fields that are wrong.
  const wrong = new Set(found.map((issue) => issue.path.split('.')[0]));
  const valid = Object.entries(value).filter(([name]) => !wrong.has(name) && name in schema.entries);
  return Object.fromEntries(valid) as Section<T>;
}

/** The elements of a list; none where it is empty or left out. */
export function listOf(given: unknown, path: PartPath, issues: Issues): readonly unknown[] {
  if (Array.isArray(given)) return given as unknown[];
  if (given !== undefined && given !== null) issues.add(path, expected(String(path.at(-1)), 'a list', given));
  return [];
}

/** The named parts of a mapping; none where it is empty or left out. */
export function groupsOf(given: unknown, path: PartPath, what: string, issues: Issues): readonly (readonly [string, unknown])[] {
  if (given === undefined || given === null) return [];
  if (typeof given === 'object' && !Array.isArray(given)) return Object.entries(given);
  issues.add(path, expected(String(path.at(-1)), `names, each with ${what}`, given));
  return [];
}

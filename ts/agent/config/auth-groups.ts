/** The section `auth`: groups of keys, which routes and sessions of BFD name. The keys are in files or in the environment. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

import * as v from 'valibot';

import { expected, messageOf } from '../../base/errors.js';
import { field, object } from '../../base/fields.js';
import { didYouMean } from '../../base/nearest-name.js';
import type { AuthKeyOptions, AuthOptions } from '../../index.js';
import { parseAuth } from '../../manager/session-auth.js';
import type { Issues } from './issues.js';
import { checkedSection, groupsOf, listOf } from './section.js';
import type { PartPath } from './source-file.js';

const GROUP_SCHEMA = object({ type: v.optional(v.unknown()), keys: v.optional(v.unknown()) });

const text = field<string>('a text', (value) => typeof value === 'string' && value !== '');

const KEY_SCHEMA = object({ id: v.optional(v.unknown()), file: v.optional(text), env: v.optional(text), variant: v.optional(v.unknown()) });

export interface AuthSources {
  /** What the names of files are relative to. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly issues: Issues;
}

export class AuthGroups {
  readonly #groups = new Map<string, AuthOptions | undefined>();
  readonly #sources: AuthSources;

  constructor(given: unknown, sources: AuthSources) {
    this.#sources = sources;
    for (const [name, group] of groupsOf(given, ['auth'], 'type and keys', sources.issues)) {
      this.#groups.set(name, this.#group(group, ['auth', name]));
    }
  }

  /** Those without faults, by name. */
  get groups(): ReadonlyMap<string, AuthOptions> {
    return new Map([...this.#groups].flatMap(([name, options]) => (options === undefined ? [] : [[name, options]])));
  }

  /** The keys that a field names or has; `undefined` where it is left out, or after a fault. */
  of(given: unknown, path: PartPath): AuthOptions | undefined {
    if (given === undefined || given === null) return undefined;
    if (typeof given === 'object') return this.#group(given, path);
    const { issues } = this.#sources;
    const names = [...this.#groups.keys()];
    if (typeof given !== 'string') {
      issues.add(path, expected('auth', 'the name of a group of `auth`, or an object with type and keys', given));
    } else if (!this.#groups.has(given)) {
      const known = names.length === 0 ? 'there is none' : `the groups are ${names.join(', ')}`;
      issues.add(path, `Unknown group of keys \`${given}\`${didYouMean(given, names)}; ${known}`);
    } else return this.#groups.get(given);
    return undefined;
  }

  #group(given: unknown, path: PartPath): AuthOptions | undefined {
    const { issues } = this.#sources;
    const { type, keys } = checkedSection(GROUP_SCHEMA, given, path, issues);
    const read = listOf(keys, [...path, 'keys'], issues).map((key, index) => this.#key(key, [...path, 'keys', index]));
    const complete = read.filter((key) => key !== undefined);
    if (complete.length < read.length || (keys !== undefined && !Array.isArray(keys))) return undefined;
    const options = { type, keys: complete } as AuthOptions;
    const { issues: found } = parseAuth(options);
    const own = found.map(({ path: at, message }) => ({ path: at.replace(/^auth\.?/, '').replace(/\.key$/, ''), message }));
    issues.addAll(path, own);
    return own.length === 0 ? options : undefined;
  }

  #key(given: unknown, path: PartPath): AuthKeyOptions | undefined {
    const { issues, env } = this.#sources;
    const { id, file, env: variable, variant } = checkedSection(KEY_SCHEMA, given, path, issues);
    if ((file === undefined) === (variable === undefined)) {
      issues.add(path, 'Expected a key to have one of `file` and `env`, which say where it is');
      return undefined;
    }
    const key = file === undefined ? env[variable ?? ''] : this.#fromFile(file, [...path, 'file']);
    if (key === undefined && variable !== undefined) issues.add([...path, 'env'], `The environment has no variable \`${variable}\``);
    return key === undefined ? undefined : ({ id, key, ...(variant === undefined ? {} : { variant }) } as AuthKeyOptions);
  }

  /** The bytes of a file, without the end of a line that editors add. */
  #fromFile(name: string, path: PartPath): Uint8Array | undefined {
    const { folder, issues } = this.#sources;
    const file = resolve(folder, name);
    try {
      if ((statSync(file).mode & 0o004) !== 0) issues.warn(path, `${file} can be read by every user: take that away with chmod o-r`);
      const bytes = readFileSync(file);
      return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
    } catch (error) {
      issues.add(path, `The key cannot be read: ${messageOf(error)}`);
      return undefined;
    }
  }
}

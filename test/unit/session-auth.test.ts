/** The keys of a session: what is accepted, and that no text shows one. */
import { inspect } from 'node:util';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { isSameAuth, parseAuth } from '../../ts/manager/session-auth.js';

const SECRET = 'hunter2-hunter2';
const good = { type: 'sha1', keys: [{ id: 1, key: SECRET }] };

function issuesOf(given: unknown): { path: string; message: string }[] {
  const { auth, issues } = parseAuth(given);
  expect(auth === undefined, 'either keys or issues').toBe(issues.length > 0);
  return [...issues];
}

describe('the authentication of a session', () => {
  it.each(['simple', 'md5', 'meticulous-md5', 'sha1', 'meticulous-sha1'])('of type %s takes text as UTF-8, and bytes', (type) => {
    const { auth } = parseAuth({
      type,
      keys: [
        { id: 0, key: 'schlüssel' },
        { id: 255, key: Buffer.from([0, 255]) },
      ],
    });
    expect(auth?.type).toBe(type);
    expect(auth?.keys.map(({ id, secret, variant }) => [id, [...secret], variant])).toEqual([
      [0, [...Buffer.from('schlüssel')], 'rfc'],
      [255, [0, 255], 'rfc'],
    ]);
  });

  it.each([
    ['simple', 16],
    ['md5', 16],
    ['meticulous-md5', 16],
    ['sha1', 20],
    ['meticulous-sha1', 20],
  ])('of type %s takes keys of 1 to %i bytes', (type, most) => {
    for (const length of [1, most]) expect(issuesOf({ type, keys: [{ id: 1, key: 'x'.repeat(length) }] })).toEqual([]);
    for (const key of ['', 'x'.repeat(most + 1), `${'x'.repeat(most - 1)}ü`, new Uint8Array(most + 1)]) {
      expect(issuesOf({ type, keys: [{ id: 1, key }] })).toMatchObject([{ path: 'auth.keys.0.key' }]);
    }
  });

  it.each([
    ['nothing', null, ['auth']],
    ['a text', SECRET, ['auth']],
    ['an array', [SECRET], ['auth']],
    ['another type', { ...good, type: 'sha256' }, ['auth.type']],
    ['a name of every object as its type', { ...good, type: 'constructor' }, ['auth.type']],
    ['no keys', { type: 'sha1', keys: [] }, ['auth.keys']],
    ['a text for keys', { type: 'sha1', keys: SECRET }, ['auth.keys']],
    ['a text for a key', { type: 'sha1', keys: [SECRET] }, ['auth.keys.0']],
    ['a hole for a key', { type: 'sha1', keys: Array(1) }, ['auth.keys.0']],
    ['a number that no key has', { type: 'sha1', keys: [{ id: 256, key: SECRET }] }, ['auth.keys.0.id']],
    ['a text for a number', { type: 'sha1', keys: [{ id: SECRET, key: SECRET }] }, ['auth.keys.0.id']],
    [
      'one number twice',
      {
        type: 'sha1',
        keys: [
          { id: 1, key: 'a' },
          { id: 1, key: 'b' },
        ],
      },
      ['auth.keys.1.id'],
    ],
    ['a number for a key', { type: 'sha1', keys: [{ id: 1, key: 12_345 }] }, ['auth.keys.0.key']],
    ['a variant of MD5', { type: 'md5', keys: [{ id: 1, key: 'a', variant: 'frr-hmac' }] }, ['auth.keys.0.variant']],
    ['another variant', { type: 'sha1', keys: [{ id: 1, key: 'a', variant: SECRET }] }, ['auth.keys.0.variant']],
    ['a misspelt name', { type: 'sha1', keys: [{ id: 1, key: 'a', varient: 'rfc' }] }, ['auth.keys.0.varient']],
    ['a name of its own', { ...good, secret: SECRET }, ['auth.secret']],
    ['several faults', { type: 'x', keys: SECRET, more: 1 }, ['auth.more', 'auth.type', 'auth.keys']],
  ])('that is given %s is refused, naming the field and showing no value', (_, given, paths) => {
    const issues = issuesOf(given);
    expect(issues.map(({ path }) => path)).toEqual(paths);
    for (const { path, message } of issues) {
      expect(message).toContain(`\`${path}\``);
      expect(message).not.toContain(SECRET);
    }
  });

  it('of SHA-1 may have the variant of FRR', () => {
    for (const type of ['sha1', 'meticulous-sha1']) {
      expect(parseAuth({ type, keys: [{ id: 1, key: 'a', variant: 'frr-hmac' }] }).auth?.keys[0]?.variant).toBe('frr-hmac');
    }
  });

  it('is a copy: what the user does to the bytes later changes nothing', () => {
    const key = Buffer.from(SECRET);
    const keys = [{ id: 1, key }];
    const { auth } = parseAuth({ type: 'sha1', keys });
    key.fill(0);
    keys.length = 0;
    expect(Buffer.from(auth?.keys[0]?.secret ?? []).toString()).toBe(SECRET);
  });

  it('shows its keys to no inspection and in no JSON', () => {
    const { auth } = parseAuth(good);
    const options = { depth: Infinity, showHidden: true, breakLength: Infinity, compact: true };
    for (const text of [inspect({ auth }, options), JSON.stringify({ auth })]) {
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain([...Buffer.from(SECRET)].join(', '));
      expect(text).not.toContain([...Buffer.from(SECRET)].join(','));
    }
  });

  it('whose getters throw is refused without what they threw', () => {
    const throwing = Object.defineProperty({ id: 1 }, 'key', {
      enumerable: true,
      get: () => {
        throw new Error(SECRET);
      },
    });
    expect(issuesOf({ type: 'sha1', keys: [throwing] })).toEqual([{ path: 'auth', message: '`auth` cannot be read' }]);
  });

  it('is accepted, or refused with messages that show no value of it, whatever is given', () => {
    const value = fc.oneof(fc.anything(), fc.constantFrom(SECRET, Buffer.from(SECRET), [SECRET]));
    const shape = fc.record({ type: value, keys: fc.array(fc.record({ id: value, key: value, variant: value }, { requiredKeys: [] })) });
    fc.assert(
      fc.property(fc.oneof(value, shape), (given) => {
        for (const { message } of issuesOf(given)) expect(message).not.toContain(SECRET);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the same as another with equal keys in the same order, and as no other', () => {
    const two = { type: 'sha1', keys: [...good.keys, { id: 2, key: 'other' }] };
    const parse = (given: unknown) => parseAuth(given).auth;
    expect(isSameAuth(parse(good), parse({ ...good, keys: [{ id: 1, key: Buffer.from(SECRET), variant: 'rfc' }] }))).toBe(true);
    for (const other of [
      undefined,
      { ...good, type: 'meticulous-sha1' },
      two,
      { type: 'sha1', keys: [{ id: 2, key: SECRET }] },
      { type: 'sha1', keys: [{ id: 1, key: `${SECRET}!` }] },
      { type: 'sha1', keys: [{ id: 1, key: SECRET, variant: 'frr-hmac' }] },
    ]) {
      expect(isSameAuth(parse(good), other === undefined ? undefined : parse(other)), JSON.stringify(other)).toBe(false);
    }
    expect(isSameAuth(parse(two), parse({ ...two, keys: [...two.keys].reverse() }))).toBe(false);
    expect(isSameAuth(undefined, undefined)).toBe(true);
  });
});

/** The options that keep the routes of flapping sessions back: `holdUp` and `damping`. */
import * as v from 'valibot';

import type { ConfigIssue } from '../base/errors.js';
import { integer, object, timeSpan } from '../base/fields.js';
import type { Damping } from '../engine/engine.js';

/** Damping in the manner of RFC 2439: each Down from Up adds to a figure of merit, which decays. */
export interface DampingOptions {
  /** What a Down from Up adds to the figure, an integer from 1 to 1 000 000. Default: 1 000. */
  penalty?: number | undefined;
  /** Above this figure routes are suppressed, an integer from 1 to 1 000 000. Default: 2 000. */
  suppressAbove?: number | undefined;
  /** Below this figure they are no longer, an integer from 1 to 1 000 000, below `suppressAbove`. Default: 1 000. */
  reuseBelow?: number | undefined;
  /** So long it takes the figure to halve, in milliseconds, 1 to 3 600 000. Default: 5 000. */
  halfLife?: number | undefined;
  /** After the last Down routes are suppressed for so many milliseconds at most, 1 to 3 600 000. Default: 20 000. */
  maxSuppress?: number | undefined;
}

/** All options of damping. */
export type CompleteDamping = Readonly<Required<{ [K in keyof DampingOptions]: number }>>;

const DEFAULTS: CompleteDamping = { penalty: 1_000, suppressAbove: 2_000, reuseBelow: 1_000, halfLife: 5_000, maxSuppress: 20_000 };

const figure = integer(1, 1_000_000);
const period = timeSpan(1, 3_600_000);

/** The options, each judged by itself. */
export const dampingEntries = {
  penalty: v.optional(figure),
  suppressAbove: v.optional(figure),
  reuseBelow: v.optional(figure),
  halfLife: v.optional(period),
  maxSuppress: v.optional(period),
};

/** A switch, or options: these, or the same under other names. */
export function dampingFieldOf<T extends v.ObjectEntries>(options: ReturnType<typeof object<T>>) {
  const flag = v.boolean(`a boolean, or an object; its options are ${Object.keys(options.entries).join(', ')}`);
  return v.lazy((given) => (typeof given === 'object' && given !== null && !Array.isArray(given) ? options : flag));
}

export const dampingField = dampingFieldOf(object(dampingEntries));
export const holdUpField = timeSpan(0, 600_000);

/** The options with their defaults, frozen; `false` where there is no damping. */
export function completeDamping(given: boolean | DampingOptions): CompleteDamping | false {
  if (given === false) return false;
  const { penalty, suppressAbove, reuseBelow, halfLife, maxSuppress }: DampingOptions = given === true ? {} : given;
  return Object.freeze({
    penalty: penalty ?? DEFAULTS.penalty,
    suppressAbove: suppressAbove ?? DEFAULTS.suppressAbove,
    reuseBelow: reuseBelow ?? DEFAULTS.reuseBelow,
    halfLife: halfLife ?? DEFAULTS.halfLife,
    maxSuppress: maxSuppress ?? DEFAULTS.maxSuppress,
  });
}

/** Contradictions between options that are each valid: such damping could never begin, or never end. */
export function dampingIssues(given: boolean | DampingOptions | undefined): ConfigIssue[] {
  const damping = toDamping(given ?? false);
  if (damping === undefined) return [];
  const { suppressAbove, reuseBelow, halfLifeMs, maxSuppressMs } = damping;
  if (suppressAbove <= reuseBelow) {
    const message = `Expected \`damping.suppressAbove\` to be above \`damping.reuseBelow\` (${reuseBelow}), got ${suppressAbove}`;
    return [{ path: 'damping.suppressAbove', message }];
  }
  const cap = reuseBelow * 2 ** (maxSuppressMs / halfLifeMs);
  if (cap > suppressAbove) return [];
  const message = `Expected \`damping.maxSuppress\` to be long enough: from ${suppressAbove} (\`suppressAbove\`) to ${reuseBelow} (\`reuseBelow\`) the figure takes ${Math.ceil(halfLifeMs * Math.log2(suppressAbove / reuseBelow))} ms, so that within ${maxSuppressMs} ms nothing would ever be suppressed`;
  return [{ path: 'damping.maxSuppress', message }];
}

/** As the engine takes it: whole milliseconds. */
export function toDamping(given: boolean | DampingOptions): Damping | undefined {
  const complete = completeDamping(given);
  if (complete === false) return undefined;
  const { penalty, suppressAbove, reuseBelow, halfLife, maxSuppress } = complete;
  return { penalty, suppressAbove, reuseBelow, halfLifeMs: Math.round(halfLife), maxSuppressMs: Math.round(maxSuppress) };
}

export function isSameDamping(left: Damping | undefined, right: Damping | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return FIELDS.every((name) => left[name] === right[name]);
}

const FIELDS = ['penalty', 'suppressAbove', 'reuseBelow', 'halfLifeMs', 'maxSuppressMs'] as const satisfies (keyof Damping)[];

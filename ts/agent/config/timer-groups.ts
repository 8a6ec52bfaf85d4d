/** The section `timers`: groups of timers, which managers, routes and sessions name. */
import * as v from 'valibot';

import { expected } from '../../base/errors.js';
import { duration, integer, object } from '../../base/fields.js';
import { type IntervalBounds, MAX_INTERVAL, outsideIssues, type SessionTimerOptions } from '../../base/intervals.js';
import { didYouMean } from '../../base/nearest-name.js';
import type { Issues } from './issues.js';
import { checkedSection, groupsOf } from './section.js';
import type { PartPath } from './source-file.js';

/** Timers of a session: intervals in milliseconds. */
export interface Timers {
  readonly txMin: number;
  readonly rxMin: number;
  readonly detectMult: number;
}

/** The group of what names none. */
export const DEFAULT_GROUP = 'default';

const INTERVAL = duration(MAX_INTERVAL);
const MULTIPLIER = integer(1, 255);
const GROUP_SCHEMA = object({ txMin: INTERVAL, rxMin: INTERVAL, detectMult: MULTIPLIER });
const INLINE_SCHEMA = object({ txMin: v.optional(INTERVAL), rxMin: v.optional(INTERVAL), detectMult: v.optional(MULTIPLIER) });

/** The timers that a manager has for what names none, and the bounds that it gives to all. */
export interface TimerContext {
  readonly bounds: IntervalBounds;
  readonly manager: string;
  /** `undefined` where the manager has none. */
  readonly inherited: Timers | undefined;
}

export class TimerGroups {
  readonly #groups = new Map<string, Timers | undefined>();
  readonly #issues: Issues;
  /** The groups that were checked against the bounds of a manager. */
  readonly #checked = new Set<string>();

  constructor(given: unknown, issues: Issues) {
    this.#issues = issues;
    for (const [name, group] of groupsOf(given, ['timers'], 'txMin, rxMin and detectMult', issues)) {
      this.#groups.set(name, this.#group(name, group));
    }
  }

  /** The timers that a field names or has; those of the manager where it is left out. `undefined` after a fault. */
  of(given: unknown, path: PartPath, context: TimerContext): Timers | undefined {
    if (given === undefined || given === null) return context.inherited;
    if (typeof given === 'string') return this.#named(given, path, context);
    if (typeof given === 'object' && !Array.isArray(given)) return this.#inline(given, path, context);
    this.#issues.add(path, expected('timers', 'the name of a group of `timers`, or an object with txMin, rxMin, detectMult', given));
    return undefined;
  }

  /** The timers of a manager: those that it names or has, or the group `default`. */
  ofManager(given: unknown, path: PartPath, context: Omit<TimerContext, 'inherited'>): Timers | undefined {
    const byDefault = this.#groups.has(DEFAULT_GROUP) ? this.#named(DEFAULT_GROUP, path, { ...context, inherited: undefined }) : undefined;
    const field = [...path, 'timers'];
    if (given !== undefined && given !== null) return this.of(given, field, { ...context, inherited: byDefault });
    if (!this.#groups.has(DEFAULT_GROUP)) {
      this.#issues.add(path, 'Expected `timers` to be given: there is no group `timers.default`, which would be used without');
    }
    return byDefault;
  }

  #group(name: string, given: unknown): Timers | undefined {
    const group = checkedSection(GROUP_SCHEMA, given, ['timers', name], this.#issues);
    const { txMin, rxMin, detectMult } = group;
    return txMin === undefined || rxMin === undefined || detectMult === undefined ? undefined : { txMin, rxMin, detectMult };
  }

  #named(name: string, path: PartPath, context: TimerContext): Timers | undefined {
    if (!this.#groups.has(name)) {
      const names = [...this.#groups.keys()];
      const known = names.length === 0 ? 'there is none' : `the groups are ${names.join(', ')}`;
      this.#issues.add(path, `Unknown group of timers \`${name}\`${didYouMean(name, names)}; ${known}`);
      return undefined;
    }
    const group = this.#groups.get(name);
    const key = `${context.manager} ${name}`;
    if (group === undefined || this.#checked.has(key)) return group;
    this.#checked.add(key);
    this.#checkBounds(group, ['timers', name], context);
    return group;
  }

  #inline(given: object, path: PartPath, context: TimerContext): Timers | undefined {
    const own = checkedSection(INLINE_SCHEMA, given, path, this.#issues);
    this.#checkBounds(own, path, context);
    const { txMin, rxMin, detectMult } = { ...context.inherited, ...own };
    if (txMin !== undefined && rxMin !== undefined && detectMult !== undefined) return { txMin, rxMin, detectMult };
    const missing = Object.entries({ txMin, rxMin, detectMult }).filter(([name, value]) => value === undefined && !(name in given));
    for (const [name] of missing) this.#issues.add(path, `Expected \`${name}\` to be given: it has no default`);
    return undefined;
  }

  #checkBounds(timers: SessionTimerOptions, path: PartPath, { bounds, manager }: TimerContext): void {
    const issues = outsideIssues(timers, bounds);
    this.#issues.addAll(
      path,
      issues.map((issue) => ({ ...issue, message: `${issue.message} (manager \`${manager}\`)` })),
    );
  }
}

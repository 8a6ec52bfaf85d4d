/** Intervals of sessions, and what bounds them. */
import type { ConfigIssue } from './errors.js';

/** The longest interval between two packets of a session in service, in milliseconds. */
export const MAX_INTERVAL = 60_000;

/** The longest backoff, in milliseconds. */
export const MAX_BACKOFF = 600_000;

/** The fields that bound each other, and that the intervals of a session are held against. */
export interface IntervalBounds {
  readonly minTxFloor: number;
  readonly maxTxCeil: number;
}

/** The bounds where nothing else is said, in milliseconds. */
export const DEFAULT_BOUNDS = { minTxFloor: 50, maxTxCeil: 1_000 } as const satisfies IntervalBounds;

/** How one session departs from the configuration. */
export interface SessionTimerOptions {
  /** How often we want to send, in milliseconds, within [minTxFloor, maxTxCeil]. Default: the configuration's. */
  txMin?: number | undefined;
  /** How often we can receive, in milliseconds, within [minTxFloor, maxTxCeil]. Default: the configuration's. */
  rxMin?: number | undefined;
  /** So many intervals of silence mean Down, 1 to 255. Default: the configuration's. */
  detectMult?: number | undefined;
}

/** Refused, not clamped: it catches seconds and microseconds. */
export function outsideIssues(timers: SessionTimerOptions, { minTxFloor, maxTxCeil }: IntervalBounds): ConfigIssue[] {
  return (['txMin', 'rxMin'] as const).flatMap((path) => {
    const interval = timers[path];
    if (interval === undefined || (interval >= minTxFloor && interval <= maxTxCeil)) return [];
    const message = `Expected \`${path}\` to be from minTxFloor (${minTxFloor} ms) to maxTxCeil (${maxTxCeil} ms), got ${interval} ms`;
    return [{ path, message }];
  });
}

/** What is wrong between fields that are each right by themselves. */
export function boundIssues(
  config: IntervalBounds & Pick<SessionTimerOptions, 'txMin' | 'rxMin'> & { readonly backoffMax?: number | undefined },
  wrong: ReadonlySet<string>,
): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const { minTxFloor, maxTxCeil, backoffMax, txMin, rxMin } = config;
  const boundsHold = !wrong.has('minTxFloor') && !wrong.has('maxTxCeil');
  if (boundsHold && minTxFloor > maxTxCeil) {
    issues.push({
      path: 'minTxFloor',
      message: `Expected \`minTxFloor\` (${minTxFloor} ms) to be at most \`maxTxCeil\` (${maxTxCeil} ms)`,
    });
  } else if (boundsHold) {
    const judged = { txMin: wrong.has('txMin') ? undefined : txMin, rxMin: wrong.has('rxMin') ? undefined : rxMin };
    issues.push(...outsideIssues(judged, config));
  }
  if (boundsHold && !wrong.has('backoffMax') && backoffMax !== undefined && backoffMax < Math.min(minTxFloor, maxTxCeil)) {
    const message = `Expected \`backoffMax\` (${backoffMax} ms) to be at least \`minTxFloor\` (${minTxFloor} ms)`;
    issues.push({ path: 'backoffMax', message });
  }
  return issues;
}

/** The intervals of sessions and their bounds. */
import type { ConfigIssue } from './errors.js';

/** The longest interval between two packets of a session in service, in milliseconds. */
export const MAX_INTERVAL = 60_000;

/** The longest backoff, in milliseconds. */
export const MAX_BACKOFF = 600_000;

/** The bounds of a session's intervals. */
export interface IntervalBounds {
  readonly minTxFloor: number;
  readonly maxTxCeil: number;
}

/** The default bounds, in milliseconds. */
export const DEFAULT_BOUNDS = { minTxFloor: 50, maxTxCeil: 1_000 } as const satisfies IntervalBounds;

/** The timers of one session that differ from the configuration. */
export interface SessionTimerOptions {
  /** The desired transmit interval in milliseconds, within [minTxFloor, maxTxCeil]. Default: the configuration's. */
  txMin?: number | undefined;
  /** The required receive interval in milliseconds, within [minTxFloor, maxTxCeil]. Default: the configuration's. */
  rxMin?: number | undefined;
  /** The number of intervals whose silence means Down, 1 to 255. Default: the configuration's. */
  detectMult?: number | undefined;
}

/** Intervals outside the bounds. They are refused and not clamped: that catches seconds and microseconds. */
export function outsideIssues(timers: SessionTimerOptions, { minTxFloor, maxTxCeil }: IntervalBounds): ConfigIssue[] {
  return (['txMin', 'rxMin'] as const).flatMap((path) => {
    const interval = timers[path];
    if (interval === undefined || (interval >= minTxFloor && interval <= maxTxCeil)) return [];
    const message = `Expected \`${path}\` to be from minTxFloor (${minTxFloor} ms) to maxTxCeil (${maxTxCeil} ms), got ${interval} ms`;
    return [{ path, message }];
  });
}

/** Contradictions between fields that are each valid. `wrong` has the names of the invalid fields. */
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
    const valid = { txMin: wrong.has('txMin') ? undefined : txMin, rxMin: wrong.has('rxMin') ? undefined : rxMin };
    issues.push(...outsideIssues(valid, config));
  }
  if (boundsHold && !wrong.has('backoffMax') && backoffMax !== undefined && backoffMax < Math.min(minTxFloor, maxTxCeil)) {
    const message = `Expected \`backoffMax\` (${backoffMax} ms) to be at least \`minTxFloor\` (${minTxFloor} ms)`;
    issues.push({ path: 'backoffMax', message });
  }
  return issues;
}

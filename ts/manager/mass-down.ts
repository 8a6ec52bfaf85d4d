/** Many sessions that fall at once: that is probably this host's fault. As the native engine's `mass_down.rs`, for called backends. */
import { field, object, timeSpan } from '../base/fields.js';
import type { SessionId } from '../engine/engine.js';

/** When withdrawals wait, since so many sessions fall at once that it is probably this host's fault. */
export interface MassDownOptions {
  /** More than this share of the sessions that are Up has to fall, above 0 and below 1, … */
  share: number;
  /** … within this time, in milliseconds, 1 to 60 000. */
  within: number;
  /** So long the withdrawals wait at most, in milliseconds, 1 to 60 000. */
  hold: number;
}

const period = timeSpan(1, 60_000);

export const massDownField = object({
  share: field<number>('a number above 0 and below 1', (value) => typeof value === 'number' && value > 0 && value < 1),
  within: period,
  hold: period,
});

/** Sessions whose routes wait. */
export interface MassDown {
  readonly sessions: readonly SessionId[];
  /** So much longer, in milliseconds. */
  readonly wait: number;
  /** Given where the wait begins with these: so many fell of so many that were Up. */
  readonly report: { readonly fallen: number; readonly of: number } | undefined;
}

export class RecentDowns {
  readonly #limit: MassDownOptions;
  /** When each session fell that fell lately. */
  readonly #recent = new Map<SessionId, number>();
  #heldUntil: number | undefined;

  constructor(limit: MassDownOptions) {
    this.#limit = limit;
  }

  /** Notes sessions that fell at `now`, in milliseconds, while so many others are Up. */
  fell(fallen: readonly SessionId[], up: number, now: number): MassDown | undefined {
    const { share, within, hold } = this.#limit;
    for (const [session, at] of this.#recent) if (now - at >= within) this.#recent.delete(session);
    for (const session of fallen) this.#recent.set(session, now);
    if (this.#heldUntil !== undefined && this.#heldUntil > now) {
      return { sessions: fallen, wait: this.#heldUntil - now, report: undefined };
    }
    const count = this.#recent.size;
    if (count <= share * (count + up)) return undefined;
    this.#heldUntil = now + hold;
    return { sessions: [...this.#recent.keys()], wait: hold, report: { fallen: count, of: count + up } };
  }
}

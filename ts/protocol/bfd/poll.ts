/** The Poll Sequence of RFC 5880 §6.5, from the side that begins it. */
export class Poll {
  /**
   * `sent_and_changed`: a packet with Poll was sent, and the timers have changed since. The next Final may answer a packet from
   * before the change, so that another Poll follows it.
   */
  #stage: 'idle' | 'begun' | 'sent' | 'sent_and_changed' = 'idle';

  /** Whether packets say Poll. */
  get isActive(): boolean {
    return this.#stage !== 'idle';
  }

  /** The timers have changed. */
  begin(): void {
    this.#stage = this.#stage === 'idle' || this.#stage === 'begun' ? 'begun' : 'sent_and_changed';
  }

  /** A packet with Poll was sent. */
  sent(): void {
    if (this.#stage === 'begun') this.#stage = 'sent';
  }

  /** A packet with Final was received. Returns whether the peer knows the present timers since. */
  answered(): boolean {
    // In `idle` and `begun` it answers an earlier Poll, and was late.
    const ends = this.#stage === 'sent';
    if (ends) this.#stage = 'idle';
    else if (this.#stage === 'sent_and_changed') this.#stage = 'begun';
    return ends;
  }

  /** The session is Down: no timers are agreed. */
  end(): void {
    this.#stage = 'idle';
  }
}

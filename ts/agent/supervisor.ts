/** Looks after the managers' threads, and tells systemd that the agent lives while all of them do. */
import type { RunningManager } from './running-manager.js';

/** Tells systemd something (sd_notify(3)); without systemd it does nothing. */
export type Notify = (state: string) => boolean;

/** How often the threads are asked, in milliseconds, where systemd does not want to know more often. */
const INTERVAL_MS = 1_000;

export interface SupervisorOptions {
  readonly managers: () => readonly Pick<RunningManager, 'checkHealth'>[];
  readonly notify: Notify;
  /** Within this time systemd wants to hear that the agent lives, in milliseconds; `undefined`: it does not. */
  readonly watchdog: number | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#interval = Math.min(INTERVAL_MS, (options.watchdog ?? Infinity) / 2);
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** The event loop lives where this runs; the threads live where all of them answer. */
  async #check(): Promise<void> {
    const { managers, notify, watchdog } = this.#options;
    const answers = await Promise.all(managers().map((manager) => manager.checkHealth()));
    if (watchdog !== undefined && answers.every(Boolean)) notify('WATCHDOG=1');
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#check(), this.#interval).unref();
  }
}

/** The time within which systemd wants to hear of this process, in milliseconds; `undefined` where it does not (sd_watchdog_enabled(3)). */
export function watchdogOf({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv, pid = process.pid): number | undefined {
  if (WATCHDOG_PID !== undefined && Number(WATCHDOG_PID) !== pid) return undefined;
  const milliseconds = Number(WATCHDOG_USEC) / 1_000;
  return milliseconds > 0 && Number.isFinite(milliseconds) ? milliseconds : undefined;
}

/** `route-liveness watch`: the sessions of an agent in a terminal, live. */
import type { SessionsAnswer } from '../agent/control-api.js';
import { ADDRESS_HELP, type Arguments, UsageError } from './client-arguments.js';
import { type ClientCommand, runClient } from './client-command.js';
import { CannotAskError, ControlClient } from './control-client.js';
import { EXIT } from './exit-status.js';
import { FILTER_HELP, FILTER_OPTIONS, filterParameters } from './filter-options.js';
import { painterFor } from './paint.js';
import { Screen } from './screen.js';
import { WatchView } from './watch-view.js';

const HELP = `route-liveness watch: the sessions of an agent, live

Usage: route-liveness watch [options]

${FILTER_HELP}
${ADDRESS_HELP}

Asks once a second. Keys:
  ↑ ↓ PgUp PgDn Home End   scroll (also j, k and the space bar)
  s, r                     sort by the next criterion; reverse
  /                        filter by a text: state, peer, interface, destination, manager; Enter ends it, Esc drops it
  n                        only sessions that are not Up
  Esc                      all sessions again
  Ctrl-L                   draw anew
  q, Ctrl-C                quit

Exit status: 0 it was quit; 2 the command line is wrong, or there is no terminal; 3 the agent cannot be asked.
`;

type Ask = (end: AbortSignal) => Promise<SessionsAnswer>;

const INTERVAL_MS = 1_000;

const COMMAND: ClientCommand = { help: HELP, options: FILTER_OPTIONS, run: watchAgent };

/** Runs the command. Gives the exit status. */
export function watch(args: readonly string[]): Promise<number> {
  return runClient(COMMAND, args);
}

async function watchAgent(given: Arguments): Promise<number> {
  const parameters = filterParameters(given);
  if (!process.stdin.isTTY || !process.stdout.isTTY) throw new UsageError('`watch` needs a terminal; use `status` or `events`');
  const client = new ControlClient(given.address);
  const view = new WatchView(client.address, painterFor(process.stdout));
  // An agent that is not there is told on the ordinary screen.
  view.answered(await client.sessions(parameters));
  await showUntilQuit(view, (end) => client.sessions(parameters, end));
  return EXIT.ok;
}

async function showUntilQuit(view: WatchView, ask: Ask): Promise<void> {
  let quit: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (quit = resolve));
  const draw = (): void => screen.draw(view.frame(screen.size));
  const screen = new Screen({
    key: (name, character) => (view.key(name, character) ? draw() : quit()),
    redraw: draw,
    end: () => quit(),
  });
  const poll = new Poll(ask, view, draw);
  screen.open();
  try {
    poll.start();
    await Promise.race([ended, poll.failed]);
  } finally {
    poll.stop();
    screen.close();
  }
}

/** Asks once a second; a question that takes longer delays the next. */
class Poll {
  /** Rejects with what is no failure of the agent. */
  readonly failed: Promise<never>;
  readonly #ask: Ask;
  readonly #view: WatchView;
  readonly #draw: () => void;
  #fail: (error: unknown) => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #end = new AbortController();

  constructor(ask: Ask, view: WatchView, draw: () => void) {
    this.#ask = ask;
    this.#view = view;
    this.#draw = draw;
    this.failed = new Promise((_, reject) => (this.#fail = reject));
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#turn().then(
        () => {
          if (!this.#end.signal.aborted) this.start();
        },
        (error: unknown) => this.#fail(error),
      );
    }, INTERVAL_MS);
  }

  stop(): void {
    // A question without an answer must not keep the process alive.
    this.#end.abort();
    clearTimeout(this.#timer);
  }

  async #turn(): Promise<void> {
    try {
      this.#view.answered(await this.#ask(this.#end.signal));
    } catch (error) {
      if (!(error instanceof CannotAskError)) throw error;
      this.#view.failed(error.message, Date.now());
    }
    if (!this.#end.signal.aborted) this.#draw();
  }
}

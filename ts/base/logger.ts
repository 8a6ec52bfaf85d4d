/** The logger interface, and a wrapper that contains the failures of the user's logger. */
import { ConfigError, messageOf } from './errors.js';
import { callGuarded, warnProcess } from './guard.js';
import { field, hasMethods } from './fields.js';

/** The levels of a logger, and pino's `child`. Without `child`, a logger is called as `console`: the message, then the fields. */
export interface Logger {
  child?(bindings: Record<string, unknown>): Logger;
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => {
  // Without a logger nothing is logged.
};

export const SILENT: Logger = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;

type Level = (typeof LEVELS)[number];

export const loggerField = field<Logger>(`a logger with ${LEVELS.join(', ')}`, (value) => hasMethods(value, LEVELS));

/**
 * The logger of a component: a child of the user's logger, or one that writes nothing. Its methods never throw: the first
 * failure of the user's logger warns the process (`ERR_LOGGER`), and later lines are still written.
 *
 * @throws ConfigError if the user's logger makes no child
 */
export function componentLogger(logger: Logger | undefined, component: string): Logger {
  return logger === undefined ? SILENT : new GuardedLogger(childOf(logger, { component }));
}

function childOf(logger: Logger, bindings: Record<string, unknown>): Logger {
  let why = 'it gave something else';
  try {
    if (logger.child === undefined) return new FieldsLast(logger);
    const child: unknown = logger.child(bindings);
    if (hasMethods(child, LEVELS)) return child as Logger;
  } catch (thrown) {
    why = messageOf(thrown);
  }
  throw new ConfigError([{ path: 'logger', message: `Expected \`logger.child()\` to give a logger: ${why}` }]);
}

/** Calls the methods of a `console`, which take the message first. */
class FieldsLast implements Logger {
  readonly #console: Pick<Console, Level>;

  constructor(logger: Logger) {
    this.#console = logger;
  }

  /** At the level `debug`: `console.trace` prints a stack. */
  trace(fields: object, message: string): void {
    this.#console.debug(message, fields);
  }

  debug(fields: object, message: string): void {
    this.#console.debug(message, fields);
  }

  info(fields: object, message: string): void {
    this.#console.info(message, fields);
  }

  warn(fields: object, message: string): void {
    this.#console.warn(message, fields);
  }

  error(fields: object, message: string): void {
    this.#console.error(message, fields);
  }
}

class GuardedLogger implements Logger {
  readonly #logger: Logger;
  #hasWarned = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  trace(fields: object, message: string): void {
    this.#write('trace', fields, message);
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message);
  }

  #write(level: Level, fields: object, message: string): void {
    callGuarded(
      () => this.#logger[level](fields, message),
      (thrown) => this.#failed(thrown),
    );
  }

  #failed(thrown: unknown): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    warnProcess('ERR_LOGGER', `the logger failed, and lines of the log may be missing: ${messageOf(thrown)}`);
  }
}

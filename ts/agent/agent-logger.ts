/** The log of the agent: lines of JSON, at a level that a reload may change. */
import type { Logger as Pino } from 'pino';

import type { Logger } from '../index.js';
import type { LogLevel } from './config/agent-config.js';

const SEVERITY: Readonly<Record<LogLevel, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, silent: 100 };

interface Threshold {
  level: LogLevel;
}

/** A logger whose children share its level; those of pino keep the level that they were made with. */
export class AgentLogger implements Logger {
  readonly #pino: Pino;
  readonly #threshold: Threshold;

  /** @param pino at its lowest level, since the level is judged here */
  constructor(pino: Pino, level: LogLevel, threshold: Threshold = { level }) {
    this.#pino = pino;
    this.#threshold = threshold;
  }

  set level(level: LogLevel) {
    this.#threshold.level = level;
  }

  child(bindings: Record<string, unknown>): AgentLogger {
    return new AgentLogger(this.#pino.child(bindings), this.#threshold.level, this.#threshold);
  }

  trace(fields: object, message: string): void {
    if (this.#shows('trace')) this.#pino.trace(fields, message);
  }

  debug(fields: object, message: string): void {
    if (this.#shows('debug')) this.#pino.debug(fields, message);
  }

  info(fields: object, message: string): void {
    if (this.#shows('info')) this.#pino.info(fields, message);
  }

  warn(fields: object, message: string): void {
    if (this.#shows('warn')) this.#pino.warn(fields, message);
  }

  error(fields: object, message: string): void {
    if (this.#shows('error')) this.#pino.error(fields, message);
  }

  #shows(level: LogLevel): boolean {
    return SEVERITY[level] >= SEVERITY[this.#threshold.level];
  }
}

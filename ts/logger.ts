/** What is asked of a logger: pino's `child` and its levels. */
export interface Logger {
  child(bindings: Record<string, unknown>): Logger;
  trace(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => {
  // Without a logger nothing is logged.
};

export const SILENT: Logger = { child: () => SILENT, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

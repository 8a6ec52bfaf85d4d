/** The errors of this package: classes, stable codes, and messages. */

/** The values of `error.code`. The system's codes (`EADDRINUSE`, `EPERM`, …) appear as in Node. */
export type LivenessErrorCode =
  | 'ERR_CONFIG'
  | 'ERR_INVALID_ROUTE'
  | 'ERR_ROUTE_CONFLICT'
  | 'ERR_ROUTE_BACKEND'
  | 'ERR_TOO_MANY_SESSIONS'
  | 'ERR_CLOSED'
  | 'ERR_ENGINE_UNAVAILABLE'
  | 'ERR_NETLINK_UNAVAILABLE'
  | 'ERR_SHORT_PACKET'
  | 'ERR_INVALID_LENGTH'
  | 'ERR_UNSUPPORTED_VERSION'
  | 'ERR_INVALID_PACKET'
  | 'ERR_INVALID_ADDRESS'
  | 'ERR_NO_SUCH_INTERFACE'
  | 'ERR_NO_SUCH_SESSION'
  | 'ERR_RESUME_BUSY'
  | (string & {});

/** The base class of all errors of this package. `cause` is the underlying failure, if there is one. */
export class LivenessError extends Error {
  readonly code: LivenessErrorCode;

  constructor(code: LivenessErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** One fault of a configuration. */
export interface ConfigIssue {
  /** The field, such as `onClose.adminDown`; empty for the configuration as a whole. */
  readonly path: string;
  readonly message: string;
}

/** `ERR_CONFIG`: all faults of a configuration or of options. */
export class ConfigError extends LivenessError {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[], options?: { cause?: unknown }) {
    super('ERR_CONFIG', issues.length === 1 ? (issues[0]?.message ?? '') : listed(issues.map((issue) => issue.message)), options);
    this.issues = issues;
  }
}

/** One route of a bulk call that failed. */
export interface RouteIssue {
  readonly index: number;
  readonly code: LivenessErrorCode;
  readonly message: string;
}

/** A bulk call failed: nothing was registered or withdrawn, or not all was swept. `code` is that of the first issue. */
export class RoutesError extends LivenessError {
  readonly issues: readonly RouteIssue[];

  constructor(issues: readonly RouteIssue[], options?: { cause?: unknown }, outcome = 'nothing was registered') {
    const lines = issues.slice(0, 20).map((issue) => `[${issue.index}] ${issue.code}: ${issue.message}`);
    if (issues.length > 20) lines.push(`… and ${issues.length - 20} more`);
    super(issues[0]?.code ?? 'ERR_INVALID_ROUTE', `${outcome}; ${listed(lines)}`, options);
    this.issues = issues;
  }
}

/** "Expected `detectMult` to be an integer from 1 to 255, got `0` (number)". */
export function expected(path: string, what: string, got: unknown): string {
  return `Expected ${path === '' ? 'the value' : `\`${path}\``} to be ${what}, got ${show(got)}`;
}

export function invalidRoute(path: string, what: string, got: unknown): LivenessError {
  return new LivenessError('ERR_INVALID_ROUTE', expected(path, what, got));
}

export function closedError(): LivenessError {
  return new LivenessError('ERR_CLOSED', 'The manager is closed');
}

/** The message of any thrown value. Never throws, even for a value that cannot be converted to text. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something that has no text';
  }
}

/** The `code` of any thrown value, if it has one. Never throws. */
export function codeOf(thrown: unknown): string | undefined {
  try {
    const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
    return typeof code === 'string' ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Any thrown value as an `Error`. Never throws. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {
    // A proxy whose traps throw becomes a cause, too.
  }
  return new Error(messageOf(thrown), { cause: thrown });
}

function listed(lines: readonly string[]): string {
  return `${lines.length} ${lines.length === 1 ? 'problem' : 'problems'}:\n${lines.map((line) => `  - ${line}`).join('\n')}`;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return '`null`';
  if (typeof value === 'string') return `\`${JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)}\` (string)`;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return `\`${value}\` (${typeof value})`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'function' ? 'a function' : 'an object';
}

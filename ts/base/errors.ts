/** Every error this package throws: classes, stable codes, and the wording. */

/** What stands in `error.code`. The system's own names (`EADDRINUSE`, `EPERM`, …) appear beside these, as in Node. */
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
  | (string & {});

/** The base of all errors thrown here. `cause` holds what failed underneath, where something did. */
export class LivenessError extends Error {
  readonly code: LivenessErrorCode;

  constructor(code: LivenessErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** One thing that is wrong with a configuration. */
export interface ConfigIssue {
  /** The field, `onClose.adminDown` for a nested one; empty where the configuration as a whole is meant. */
  readonly path: string;
  readonly message: string;
}

/** `ERR_CONFIG`: a configuration, or options of a route, with everything that is wrong with it at once. */
export class ConfigError extends LivenessError {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[], options?: { cause?: unknown }) {
    super('ERR_CONFIG', issues.length === 1 ? (issues[0]?.message ?? '') : listed(issues.map((issue) => issue.message)), options);
    this.issues = issues;
  }
}

/** One route of a bulk call that cannot be registered or withdrawn. */
export interface RouteIssue {
  readonly index: number;
  readonly code: LivenessErrorCode;
  readonly message: string;
}

/** A call on many routes failed: nothing was registered, or not all was swept. `code` is that of the first issue. */
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

/** What anything thrown says, whatever it is. Never throws: users' code may throw what cannot be turned into text. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something that has no text';
  }
}

/** The `code` of anything thrown, if it has one. Never throws. */
export function codeOf(thrown: unknown): string | undefined {
  try {
    const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
    return typeof code === 'string' ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Anything thrown as an `Error`. Never throws. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {
    // A proxy that throws when it is asked: it becomes a cause like everything else.
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

/** Answers of the control API. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { codeOf, ConfigError, messageOf, RoutesError } from '../../base/errors.js';
import type { ErrorAnswer } from '../control-api.js';
import { RequestError } from '../request-error.js';

/** A complete answer. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What every answer has: nobody keeps it, shows it in a frame, or guesses its type. */
const COMMON_HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

const JSON_TYPE = 'application/json; charset=utf-8';

export function json(value: object, status = 200): Answer {
  return { status, type: JSON_TYPE, body: JSON.stringify(value) };
}

/** JSON that was made before. */
export function madeJson(body: Uint8Array): Answer {
  return { status: 200, type: JSON_TYPE, body };
}

export function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers = {} }: Answer): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { ...COMMON_HEADERS, 'Content-Type': type, 'Content-Length': bytes.byteLength, ...headers });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/** The head of an answer that goes on until one of both ends it. */
export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { ...COMMON_HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' });
}

/** What a failure is answered with. `unexpected`: it is a fault of ours, which has to be logged. */
export function errorAnswer(error: unknown): { answer: Answer; unexpected: boolean } {
  if (error instanceof RequestError) {
    const { status, code, message, issues, headers } = error;
    return { answer: { ...json(answerOf(code, message, issues), status), headers }, unexpected: false };
  }
  const code = codeOf(error) ?? '';
  const status = STATUS_OF.get(code) ?? 500;
  return {
    answer: json(answerOf(code === '' ? 'ERR_INTERNAL' : code, messageOf(error), issuesOf(error)), status),
    unexpected: status === 500,
  };
}

/** Codes of the manager's errors. */
const STATUS_OF: ReadonlyMap<string, number> = new Map([
  ['ERR_CONFIG', 400],
  ['ERR_INVALID_ROUTE', 400],
  ['ERR_NO_SUCH_INTERFACE', 400],
  ['EADDRNOTAVAIL', 400],
  ['ERR_ENGINE_UNAVAILABLE', 400],
  ['ERR_NO_SUCH_SESSION', 404],
  ['ERR_ROUTE_CONFLICT', 409],
  ['ERR_TOO_MANY_SESSIONS', 409],
  ['ERR_ROUTE_BACKEND', 502],
  ['ERR_CLOSED', 503],
]);

function answerOf(code: string, message: string, issues: ErrorAnswer['issues']): ErrorAnswer {
  return issues === undefined || issues.length === 0 ? { code, message } : { code, message, issues };
}

function issuesOf(error: unknown): ErrorAnswer['issues'] {
  if (error instanceof RoutesError) return error.issues.map(({ index, message }) => ({ path: String(index), message }));
  return error instanceof ConfigError ? error.issues : undefined;
}

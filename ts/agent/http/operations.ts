/** The operations of the control API, by path and method. */
import type { IncomingHttpHeaders } from 'node:http';

import type { HoldAnswer, ReadyAnswer, RoutesChangedAnswer } from '../control-api.js';
import type { ControlService } from '../control-service.js';
import { parseEventId } from '../requests.js';
import { type Answer, json, madeJson } from './answer.js';

/** What an operation is given. */
export interface ControlRequest {
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** What the JSON of the body says; `undefined` of a request that has none. */
  readonly body: unknown;
}

/** The answer is a stream of events. */
export class Streamed {
  readonly after: number | undefined;

  constructor(after: number | undefined) {
    this.after = after;
  }
}

export type Operation = (request: ControlRequest) => Answer | Streamed | Promise<Answer | Streamed>;

/** By path, then by method. `HEAD` is answered as `GET`. */
export type Operations = Readonly<Record<string, ReadonlyMap<string, Operation>>>;

/** Files of the package that are answers. */
export interface StaticAnswers {
  readonly page: Answer;
  readonly openApi: Answer;
}

/** What a caller with the right to the socket may do. */
export function controlOperations(service: ControlService, { page, openApi }: StaticAnswers): Operations {
  const changed = (routes: number): Answer => json({ routes } satisfies RoutesChangedAnswer);
  const held = (managers: string[]): Answer => json({ managers } satisfies HoldAnswer);
  return {
    '/': reading(() => page),
    '/openapi.yaml': reading(() => openApi),
    '/sessions': reading(({ query }) => madeJson(service.sessions(query))),
    '/routes': new Map<string, Operation>([
      ['GET', ({ query }) => madeJson(service.routes(query))],
      ['POST', async ({ body }) => changed(await service.addRoutes(body))],
      ['DELETE', async ({ body }) => changed(await service.removeRoutes(body))],
    ]),
    '/events': reading(({ query, headers }) => new Streamed(parseEventId(headers['last-event-id']?.toString() ?? query.get('after')))),
    '/admin-down': writing(async ({ body }) => changed(await service.setAdminDown(body, true))),
    '/admin-up': writing(async ({ body }) => changed(await service.setAdminDown(body, false))),
    '/hold': writing(async ({ body }) => held(await service.hold(body))),
    '/release': writing(async ({ body }) => held(await service.release(body))),
    ...metricsOperations(service),
  };
}

/** What a scraper and a supervisor ask for; nothing of it changes anything. */
export function metricsOperations(service: ControlService): Operations {
  return {
    '/metrics': reading(async () => {
      const { type, text } = await service.metrics();
      return { status: 200, type, body: text };
    }),
    '/healthz': reading(() => {
      const health = service.health();
      return json(health, health.ok ? 200 : 503);
    }),
    '/readyz': reading(() => {
      const why = service.unready();
      return json({ ok: why === undefined, error: why ?? null } satisfies ReadyAnswer, why === undefined ? 200 : 503);
    }),
  };
}

function reading(operation: Operation): ReadonlyMap<string, Operation> {
  return new Map([['GET', operation]]);
}

function writing(operation: Operation): ReadonlyMap<string, Operation> {
  return new Map([['POST', operation]]);
}

/** The control API of an agent with canned answers. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { AgentEvent, RouteJson, SessionJson } from '../../ts/agent/control-api.js';
import { AT } from './agent-views.js';

/** How a request is answered in place of what is canned. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export class CannedAgent {
  sessions: readonly SessionJson[] = [];
  routes: readonly RouteJson[] = [];
  /** Changes with a restart. */
  started = '2026-11-26T00:00:00.000Z';
  /** Answers everything, where it is set. */
  handler: Handler | undefined;
  /** Refuses readers of events, as an agent that has too many. */
  refusesEvents = false;
  /** The page, with the headers it is sent with. */
  page: { text: string; headers: Record<string, string> } | undefined;
  /** What was asked for, path and query. */
  readonly asked: string[] = [];
  readonly #events: AgentEvent[] = [];
  /** The number of its first event: higher with each start. */
  #first = 1;
  readonly #readers = new Set<ServerResponse>();
  #server: Server;

  private constructor() {
    this.#server = this.#create();
  }

  /** @param where the path of a socket, or 0 for a free port of loopback */
  static async listen(where: string | number = 0): Promise<CannedAgent> {
    const agent = new CannedAgent();
    await agent.listen(where);
    return agent;
  }

  async listen(where: string | number): Promise<void> {
    if (typeof where === 'string') this.#server.listen(where);
    else this.#server.listen(where, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** Numbers an event and sends it to every reader. */
  push(event: AgentEvent): void {
    this.#events.push(event);
    for (const reader of this.#readers) reader.write(framed(this.#last, event));
  }

  /** Cuts every stream off. */
  cutStreams(): void {
    for (const reader of this.#readers) reader.destroy();
    this.#readers.clear();
  }

  /** Ends every stream after what was sent. */
  endStreams(): void {
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Stops listening, as an agent that ends. */
  async close(): Promise<void> {
    this.cutStreams();
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
    this.#server = this.#create();
  }

  /** Forgets its events, as an agent that was started anew. */
  begin(): void {
    this.started = new Date(Date.parse(this.started) + 1_000).toISOString();
    this.#first = this.#last + 1_000;
    this.#events.length = 0;
  }

  get #last(): number {
    return this.#first + this.#events.length - 1;
  }

  #create(): Server {
    return createServer((request, response) => {
      this.asked.push(request.url ?? '');
      if (this.handler === undefined) this.#answer(request, response);
      else this.handler(request, response);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const states = searchParams.getAll('state');
    const fits = (it: SessionJson | RouteJson): boolean =>
      (states.length === 0 || states.includes(it.liveness_status)) && (searchParams.get('peer') ?? it.peer_ip) === it.peer_ip;
    switch (pathname) {
      case '/sessions':
        return json(response, 200, { at: AT, sessions: this.sessions.filter(fits) });
      case '/routes':
        return json(response, 200, { at: AT, routes: this.routes.filter(fits) });
      case '/healthz':
        return json(response, 200, { ok: true, version: '0.1.0', started: this.started, managers: [] });
      case '/events':
        if (this.refusesEvents) return json(response, 503, { code: 'ERR_BUSY', message: 'too many readers' });
        return this.#stream(request, searchParams, response);
      case '/':
        if (this.page !== undefined) {
          response.writeHead(200, this.page.headers).end(this.page.text);
          return;
        }
    }
    json(response, 404, { code: 'ERR_NOT_FOUND', message: `There is no ${pathname}` });
  }

  #stream(request: IncomingMessage, parameters: URLSearchParams, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const after = Number(request.headers['last-event-id'] ?? parameters.get('after') ?? this.#last);
    response.write(`id: ${after}\n\n`);
    if (after < this.#first - 1) response.write(framed(this.#first - 1, { type: 'gap', at: AT, after, before: this.#first }));
    for (const [index, event] of this.#events.entries()) {
      if (this.#first + index > after) response.write(framed(this.#first + index, event));
    }
    this.#readers.add(response);
    response.once('close', () => this.#readers.delete(response));
  }
}

export function json(response: ServerResponse, status: number, answer: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

function framed(id: number, event: AgentEvent): string {
  return `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** The control API over HTTP, on a unix socket and on a TCP address. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { codeOf, LivenessError, messageOf, toError } from '../../base/errors.js';
import type { Logger } from '../../index.js';
import { formatListen, isLoopback, type ListenAddress } from '../config/listen-address.js';
import type { ControlService } from '../control-service.js';
import { RequestError } from '../request-error.js';
import { type Answer, beginStream, errorAnswer, json, send } from './answer.js';
import { BodyReader } from './body.js';
import { EventStream } from './event-stream.js';
import { type Operation, type Operations, Streamed } from './operations.js';
import { listenOnSocket, type SocketPlace } from './unix-socket.js';
import { checkOrigin } from './web-guard.js';

/** Connections of one address at a time. */
const MAX_CONNECTIONS = 256;

/** Readers of events among them. */
const MAX_STREAMS = 100;

/** How long the head of a request may take, a whole request, and a connection on which nothing moves. In milliseconds. */
const HEAD_PATIENCE_MS = 10_000;
const REQUEST_PATIENCE_MS = 30_000;
const IDLE_PATIENCE_MS = 60_000;

const NO_ADDRESS = 'http://agent';

export interface ServerContext {
  readonly service: ControlService;
  readonly operations: Operations;
  readonly logger: Logger;
}

export class ControlServer {
  readonly #server: Server;
  readonly #context: ServerContext;
  readonly #bodies = new BodyReader();
  readonly #onlyLoopback: boolean | undefined;
  #streams = 0;
  #removeSocket: (() => void) | undefined;

  /** @throws LivenessError `ERR_CONTROL_SOCKET` */
  static async onSocket(place: SocketPlace, context: ServerContext): Promise<ControlServer> {
    const server = new ControlServer(context, undefined);
    server.#removeSocket = await listenOnSocket(server.#server, place);
    return server;
  }

  /** @throws LivenessError with the system's code, `EADDRINUSE` or another */
  static async onAddress(address: ListenAddress, context: ServerContext): Promise<ControlServer> {
    const server = new ControlServer(context, isLoopback(address.host));
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (cause) => {
        const message = `${formatListen(address)} cannot be listened on: ${messageOf(cause)}`;
        reject(new LivenessError(codeOf(cause) ?? 'ERR_CONTROL_SOCKET', message, { cause }));
      });
      server.#server.listen(address.port, address.host, resolve);
    });
    return server;
  }

  /** @param onlyLoopback of a TCP address: whether it is a loopback address; `undefined` of a unix socket */
  private constructor(context: ServerContext, onlyLoopback: boolean | undefined) {
    this.#context = context;
    this.#onlyLoopback = onlyLoopback;
    this.#server = createServer({
      headersTimeout: HEAD_PATIENCE_MS,
      requestTimeout: REQUEST_PATIENCE_MS,
      connectionsCheckingInterval: 5_000,
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.setTimeout(IDLE_PATIENCE_MS);
    this.#server.on('request', (request, response) => {
      void this.#handle(request, response);
    });
    this.#server.on('clientError', refuseGarbage);
  }

  /** The TCP address that was bound. */
  get address(): ListenAddress | undefined {
    const bound = this.#server.address();
    return bound === null || typeof bound === 'string' ? undefined : { host: bound.address, port: bound.port };
  }

  /** Takes the socket out of the file system. */
  removeSocket(): void {
    this.#removeSocket?.();
    this.#removeSocket = undefined;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.removeSocket();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Whoever asked is gone, which concerns nobody else.
    response.on('error', () => undefined);
    try {
      const outcome = await this.#answer(request);
      if (outcome instanceof Streamed) this.#stream(request, response, outcome);
      else send(request, response, outcome);
    } catch (error) {
      this.#refuse(request, response, error);
    }
  }

  async #answer(request: IncomingMessage): Promise<Answer | Streamed> {
    if (this.#onlyLoopback !== undefined) checkOrigin(request, this.#onlyLoopback);
    const url = parsedUrl(request);
    const operation = this.#operation(request, url);
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    const body = isReading ? undefined : await this.#bodies.json(request);
    return operation({ query: url.searchParams, headers: request.headers, body });
  }

  /** @throws RequestError 404, 405 */
  #operation({ method = '' }: IncomingMessage, { pathname }: URL): Operation {
    const { operations } = this.#context;
    const byMethod = Object.hasOwn(operations, pathname) ? operations[pathname] : undefined;
    if (byMethod === undefined) {
      throw new RequestError(404, 'ERR_NOT_FOUND', `There is no \`${pathname}\`; there is ${Object.keys(operations).join(', ')}`);
    }
    const operation = byMethod.get(method === 'HEAD' ? 'GET' : method);
    if (operation !== undefined) return operation;
    const allowed = [...byMethod.keys()].flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name])).join(', ');
    const message = `\`${pathname}\` takes ${allowed}, got ${method}`;
    throw new RequestError(405, 'ERR_METHOD_NOT_ALLOWED', message, { headers: { Allow: allowed } });
  }

  #stream(request: IncomingMessage, response: ServerResponse, { after }: Streamed): void {
    if (request.method === 'HEAD') {
      beginStream(response);
      response.end();
      return;
    }
    if (this.#streams >= MAX_STREAMS) throw new RequestError(503, 'ERR_BUSY', `${MAX_STREAMS} readers of events are connected already`);
    this.#streams += 1;
    response.once('close', () => {
      this.#streams -= 1;
    });
    new EventStream(this.#context.service.events, response, after).run();
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const { answer, unexpected } = errorAnswer(error);
    if (unexpected) this.#context.logger.error({ err: toError(error), path: request.url }, `a request failed: ${messageOf(error)}`);
    if (response.headersSent) response.destroy();
    else send(request, response, answer);
  }
}

/** @throws RequestError 400 */
function parsedUrl({ url = '' }: IncomingMessage): URL {
  if (url.startsWith('/') && URL.canParse(NO_ADDRESS + url)) return new URL(NO_ADDRESS + url);
  throw new RequestError(400, 'ERR_BAD_REQUEST', 'Expected the target of the request to be a path');
}

/** What is no HTTP, or comes too slowly, gets an answer that says so, and its connection ends. */
function refuseGarbage(error: Error, socket: Socket): void {
  const [status, code] = GARBAGE.get(codeOf(error) ?? '') ?? ['400 Bad Request', 'ERR_BAD_REQUEST'];
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { body } = json({ code, message: `The request was not understood: ${messageOf(error)}` });
  const head = [
    `HTTP/1.1 ${status}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body.toString()}`);
}

const GARBAGE: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['HPE_HEADER_OVERFLOW', ['431 Request Header Fields Too Large', 'ERR_HEADERS_TOO_LARGE']],
  ['ERR_HTTP_REQUEST_TIMEOUT', ['408 Request Timeout', 'ERR_REQUEST_TIMEOUT']],
]);

/** The control API of an agent, asked over its socket. */
import { type IncomingMessage, request, type RequestOptions } from 'node:http';

import type { ErrorAnswer, HealthAnswer, RoutesAnswer, SessionsAnswer } from '../agent/control-api.js';

/** Where an agent listens: the path of its socket, or an address such as `http://127.0.0.1:8080`. */
export type ControlAddress = { readonly socket: string } | { readonly url: URL };

/** How long an answer may take. */
const PATIENCE_MS = 10_000;

/** The agent could not be asked; the message says why, and what to do. */
export class CannotAskError extends Error {
  override readonly name = 'CannotAskError';
}

export class ControlClient {
  readonly #address: ControlAddress;

  constructor(address: ControlAddress) {
    this.#address = address;
  }

  /** The agent's address, as it was given. */
  get address(): string {
    return 'socket' in this.#address ? this.#address.socket : this.#address.url.origin;
  }

  /**
   * The sessions that fit the parameters. `end` gives the question up.
   * @throws CannotAskError
   */
  sessions(parameters: Parameters = {}, end?: AbortSignal): Promise<SessionsAnswer> {
    return this.#get<SessionsAnswer>('/sessions', 'sessions', parameters, end);
  }

  /** The routes that fit the parameters. @throws CannotAskError */
  routes(parameters: Parameters = {}): Promise<RoutesAnswer> {
    return this.#get<RoutesAnswer>('/routes', 'routes', parameters);
  }

  /** How the agent is; that it is not well is an answer, too. @throws CannotAskError */
  health(end?: AbortSignal): Promise<HealthAnswer> {
    return this.#get<HealthAnswer>('/healthz', 'started', {}, end);
  }

  /**
   * The stream of events behind one of them, or from now on. It has no end, and so no time limit after its beginning.
   * @throws CannotAskError
   */
  async events(after: number | undefined, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      const response = await this.#request('/events', { after }, { signal, headers: { accept: 'text/event-stream' } });
      if (response.statusCode === 200) return response;
      throw this.#refused(response, await textOf(response));
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** The answer to `GET path`, which has to have a field of this name. */
  async #get<Answer>(path: string, field: keyof Answer & string, parameters: Parameters, end?: AbortSignal): Promise<Answer> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const signal = end === undefined ? late : AbortSignal.any([late, end]);
    try {
      const response = await this.#request(path, parameters, { signal, headers: { accept: 'application/json' } });
      const text = await textOf(response);
      if (response.statusCode !== 200 && response.statusCode !== 503) throw this.#refused(response, text);
      const answer = parsed(text);
      if (answer === undefined) throw this.#noAgent(`it answers ${response.statusCode ?? 0} without JSON`);
      if (!(field in answer)) throw this.#noAgent(`its answer has no \`${field}\``);
      return answer as Answer;
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #request(path: string, parameters: Parameters, options: RequestOptions): Promise<IncomingMessage> {
    const query = queryOf(parameters);
    const place = 'socket' in this.#address ? { socketPath: this.#address.socket, host: 'localhost' } : placeOf(this.#address.url);
    return new Promise((resolve, reject) => {
      const asked = request({ ...place, ...options, agent: false, path: `${path}${query === '' ? '' : `?${query}`}` }, resolve);
      const late = setTimeout(() => asked.destroy(new DOMException('no answer', 'TimeoutError')), PATIENCE_MS);
      asked.once('error', reject).once('close', () => clearTimeout(late));
      asked.once('response', () => clearTimeout(late));
      asked.end();
    });
  }

  #refused({ statusCode = 0 }: IncomingMessage, text: string): CannotAskError {
    const { code, message } = (parsed(text) ?? {}) as Partial<ErrorAnswer>;
    if (message === undefined) return this.#noAgent(`it answers ${statusCode} without a reason`);
    return new CannotAskError(`The agent at ${this.address} refuses: ${message} (${code ?? statusCode})`);
  }

  #noAgent(why: string): CannotAskError {
    return new CannotAskError(`What listens at ${this.address} is no agent of route-liveness: ${why}`);
  }

  #explained(error: unknown): CannotAskError {
    if (error instanceof CannotAskError) return error;
    const { code, name, message } = error as NodeJS.ErrnoException;
    const late = name === 'TimeoutError' || name === 'AbortError';
    return new CannotAskError(
      late ? `The agent at ${this.address} did not answer within ${PATIENCE_MS / 1_000} s` : this.#why(code, message),
      {
        cause: error,
      },
    );
  }

  #why(code: string | undefined, message: string): string {
    const where = this.address;
    switch (code) {
      case 'ENOENT':
        return `No agent has its control socket at ${where}: start one (\`route-liveness agent --config FILE\`), or name its socket with --socket PATH`;
      case 'ECONNREFUSED':
        return `Nothing listens at ${where}: the agent has ended, or listens elsewhere (--socket PATH, --url URL)`;
      case 'EACCES':
      case 'EPERM':
        return `This user may not open ${where}: ask as root, or as a member of the group that the socket belongs to (\`ls -l ${where}\`)`;
      default:
        return `The agent at ${where} cannot be asked: ${message}`;
    }
  }
}

/** A parameter that has several values is given several times; one without a value is left out. */
export type Parameters = Readonly<Record<string, string | number | readonly string[] | undefined>>;

function queryOf(parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) query.append(name, String(one));
  }
  return query.toString();
}

function placeOf({ hostname, port }: URL): RequestOptions {
  // The brackets of an IPv6 address are the URL's.
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 80 : Number(port) };
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part as string;
  return text;
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    // Not JSON: the caller says so.
    return undefined;
  }
}

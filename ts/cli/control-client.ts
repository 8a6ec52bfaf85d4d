/** The control API of an agent, asked over its socket. */
import { type IncomingMessage, request, type RequestOptions } from 'node:http';

import type { ErrorAnswer } from '../agent/control-api.js';

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
   * The answer to `GET path?parameters`; `end` gives the question up. A 503 is an answer, too: `/healthz` gives one with what is wrong.
   * @throws CannotAskError
   */
  async get<Answer>(path: string, parameters: Parameters = {}, end?: AbortSignal): Promise<Answer> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const signal = end === undefined ? late : AbortSignal.any([late, end]);
    try {
      const response = await this.#request(path, parameters, { signal, headers: { accept: 'application/json' } });
      return this.#answer(response, await textOf(response)) as Answer;
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /**
   * The stream that `GET path?parameters` answers with. It has no end, and so no time limit after its beginning.
   * @throws CannotAskError
   */
  async open(path: string, parameters: Parameters, { signal, accept }: { signal: AbortSignal; accept: string }): Promise<IncomingMessage> {
    try {
      const response = await this.#request(path, parameters, { signal, headers: { accept } });
      if (response.statusCode !== 200) this.#answer(response, await textOf(response));
      return response;
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

  #answer(response: IncomingMessage, text: string): object {
    const answer = parsed(text);
    const status = response.statusCode ?? 0;
    if (answer === undefined)
      throw new CannotAskError(`What listens at ${this.address} is no agent of route-liveness: it answers ${status} without JSON`);
    if (status >= 400 && status !== 503) throw new CannotAskError(`The agent at ${this.address} refuses: ${refusal(answer, status)}`);
    return answer;
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

function refusal(answer: object, status: number): string {
  const { code, message } = answer as Partial<ErrorAnswer>;
  return message === undefined ? `status ${status}` : `${message} (${code ?? status})`;
}

/** Reads the bodies of requests, within bounds. */
import type { IncomingMessage } from 'node:http';

import { messageOf } from '../../base/errors.js';
import { RequestError } from '../request-error.js';

/** The longest body, in bytes. */
export const MAX_BODY = 1024 * 1024;

/** So many bytes of bodies may wait for their ends together. */
const MAX_PENDING = 32 * MAX_BODY;

/** One for all connections of a server. */
export class BodyReader {
  #pending = 0;

  /** The JSON that a request has. @throws RequestError 400, 413, 415, 503 */
  async json(request: IncomingMessage): Promise<unknown> {
    requireJson(request);
    const text = await this.#text(request);
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw new RequestError(400, 'ERR_BAD_REQUEST', `The body is not JSON: ${messageOf(cause)}`, { cause });
    }
  }

  async #text(request: IncomingMessage): Promise<string> {
    if (Number(request.headers['content-length']) > MAX_BODY) throw tooLarge();
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      // The connection has to stay for the answer.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        length += chunk.byteLength;
        this.#pending += chunk.byteLength;
        if (length > MAX_BODY) throw tooLarge();
        if (this.#pending > MAX_PENDING) throw busy();
        chunks.push(chunk);
      }
      return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
    } catch (error) {
      if (error instanceof RequestError) throw error;
      throw new RequestError(400, 'ERR_BAD_REQUEST', `The body cannot be read: ${messageOf(error)}`, { cause: error });
    } finally {
      this.#pending -= length;
    }
  }
}

/** A form of a web page cannot send this type without being asked first. */
function requireJson({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json') return;
  const got = type === undefined ? 'none' : `\`${type}\``;
  throw new RequestError(415, 'ERR_UNSUPPORTED_MEDIA_TYPE', `Expected the content type application/json, got ${got}`);
}

/** The connection ends, so that the rest of the body need not be read. */
const END = { headers: { Connection: 'close' } };

function tooLarge(): RequestError {
  return new RequestError(413, 'ERR_BODY_TOO_LARGE', `Expected a body of at most ${MAX_BODY} bytes`, END);
}

function busy(): RequestError {
  return new RequestError(503, 'ERR_BUSY', 'Too many requests send their bodies at once: try again', END);
}

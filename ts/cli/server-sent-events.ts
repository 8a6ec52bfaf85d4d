/** Server-sent events, read from a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html. */
import type { Readable } from 'node:stream';

export interface ServerSentEvent {
  readonly id: string;
  readonly data: string;
}

/** No event is as long; a stream without an end of line must not fill the memory. */
const LONGEST_LINE = 1_048_576;

/**
 * Gives the events that are complete, and with empty data what has only a number: by that an agent tells where the stream begins.
 * Comments, which keep a connection open, are passed over.
 */
export async function* serverSentEvents(stream: Readable): AsyncGenerator<ServerSentEvent> {
  let id = '';
  let given = '';
  let data: string[] = [];
  for await (const line of lines(stream)) {
    if (line === '') {
      if (data.length > 0 || id !== given) yield { id, data: data.join('\n') };
      given = id;
      data = [];
      continue;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === 'id') id = value;
    if (name === 'data') data.push(value);
  }
}

async function* lines(stream: Readable): AsyncGenerator<string> {
  stream.setEncoding('utf8');
  let rest = '';
  for await (const part of stream) {
    const parts = (rest + (part as string)).split(/\r\n|\n|\r(?!$)/);
    rest = parts.pop() ?? '';
    if (rest.length > LONGEST_LINE) throw new Error(`a line of more than ${LONGEST_LINE} characters`);
    yield* parts;
  }
}

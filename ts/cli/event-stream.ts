/** The events of an agent, followed across interruptions. */
import type { IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import type { AgentEvent } from '../agent/control-api.js';
import { CannotAskError, type ControlClient } from './control-client.js';
import { serverSentEvents } from './server-sent-events.js';

/** An event, by its number. */
export interface NumberedEvent {
  readonly id: number;
  readonly event: AgentEvent;
}

/** How long the first and the last wait between two attempts are, in milliseconds. */
const WAIT = { first: 200, last: 5_000 };

export interface Listener {
  /** The stream was interrupted; it is tried again until the agent answers. */
  interrupted(why: string): void;
  /** The agent answers again; `isNew` where it was started since. */
  resumed(isNew: boolean): void;
}

/** Follows the events of one agent. */
export class EventFollower {
  readonly #client: ControlClient;
  readonly #listener: Listener;
  readonly #signal: AbortSignal;
  /** When the agent was started, by which another one is known. */
  #started = '';
  /** How long to wait before the next attempt, in milliseconds: longer with each that brought no event. */
  #wait = WAIT.first;
  /** The number of the last event. */
  #last: number | undefined;

  constructor(client: ControlClient, listener: Listener, signal: AbortSignal) {
    this.#client = client;
    this.#listener = listener;
    this.#signal = signal;
  }

  /**
   * Gives the events from now on. After an interruption it goes on behind the last one; an agent that was started anew says what was
   * lost, and goes on with its first. Ends when the signal is aborted.
   * @throws CannotAskError where the agent cannot be asked the first time
   */
  async *events(): AsyncGenerator<NumberedEvent> {
    this.#started = await this.#startOfAgent();
    for (let stream: IncomingMessage | undefined = await this.#open(); stream !== undefined; stream = await this.#openAgain()) {
      yield* this.#read(stream);
    }
  }

  /** The events of a stream until it ends or breaks. */
  async *#read(stream: IncomingMessage): AsyncGenerator<NumberedEvent> {
    let why = 'the agent has closed the stream';
    try {
      for await (const { id, data } of serverSentEvents(stream)) {
        if (id !== '') this.#last = Number(id);
        if (data === '') continue;
        this.#wait = WAIT.first;
        yield { id: Number(id), event: JSON.parse(data) as AgentEvent };
      }
    } catch (error) {
      why = `the stream was cut off (${(error as Error).message})`;
    } finally {
      stream.destroy();
    }
    if (!this.#isOver()) this.#listener.interrupted(why);
  }

  /** The stream behind the last event, once the agent answers; `undefined` once the signal is aborted. */
  async #openAgain(): Promise<IncomingMessage | undefined> {
    while (!this.#isOver()) {
      try {
        await pause(this.#wait, undefined, { signal: this.#signal });
        this.#wait = Math.min(this.#wait * 2, WAIT.last);
        const started = await this.#startOfAgent();
        const stream = await this.#open();
        this.#listener.resumed(started !== this.#started);
        this.#started = started;
        return stream;
      } catch (error) {
        // It is not back yet, or the wait was aborted: the loop goes on, or ends.
        if (!this.#isOver() && !(error instanceof CannotAskError)) throw error;
      }
    }
    return undefined;
  }

  #isOver(): boolean {
    return this.#signal.aborted;
  }

  async #startOfAgent(): Promise<string> {
    return (await this.#client.health(this.#signal)).started;
  }

  #open(): Promise<IncomingMessage> {
    return this.#client.events(this.#last, this.#signal);
  }
}

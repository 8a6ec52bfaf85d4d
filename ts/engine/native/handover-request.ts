/**
 * How a starting process takes over from one that has the state file and lives: it asks on the unix socket beside the file.
 *
 * The one that asks leaves a ticket beside the file first. Whoever removes the ticket decides: the predecessor removes it to let
 * go, the successor to give up. So a predecessor whose event loop was blocked, and who reads the question late, lets go of
 * nothing.
 */
import { randomBytes } from 'node:crypto';
import { unlinkSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { codeOf, LivenessError, toError } from '../../base/errors.js';
import { monotonicNow } from '../../base/clock.js';

/** So long a predecessor has to answer, in milliseconds. */
export const ANSWER_WITHIN_MS = 1_000;

/** So long one that has answered has to be gone. It takes some milliseconds. */
const GONE_WITHIN_MS = 10_000;

/** How often the file is tried while its lock is about to be free. */
const TRY_EVERY_MS = 2;

/** The socket on which the process that has a state file is asked to hand over. */
export function handoverSocket(resume: string): string {
  return `${resume}.sock`;
}

/** The ticket of a request, by its name of 32 hexadecimal digits. */
export function handoverTicket(resume: string, name: string): string {
  return `${resume}.${name}`;
}

/** Removes a ticket, and tells whether it was there: then nobody else has decided. */
export function removeTicket(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Starts an engine that has a state file. Where another process has the file, it is asked to hand over.
 *
 * @param start starts it, and throws `ERR_RESUME_BUSY` where another process has the file
 * @throws LivenessError `ERR_RESUME_BUSY` if the other process does not answer within a second: it goes on as before
 */
export async function startAfterPredecessor<T>(start: () => T, resume: string, signal: AbortSignal | undefined): Promise<T> {
  let until = monotonicNow() + ANSWER_WITHIN_MS;
  let leaves = false;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return start();
    } catch (error) {
      if (codeOf(error) !== 'ERR_RESUME_BUSY') throw error;
      if (monotonicNow() >= until) throw error;
    }
    if (!leaves && (await requestHandover(resume, until - monotonicNow(), signal))) {
      leaves = true;
      until = monotonicNow() + GONE_WITHIN_MS;
    } else {
      // It is about to end, or has just begun and does not listen yet.
      await sleep(TRY_EVERY_MS, undefined, { ref: true });
    }
  }
}

/**
 * Asks for the handover. Resolves with whether the predecessor lets go; false where nobody can be asked.
 *
 * @throws LivenessError `ERR_RESUME_BUSY` where somebody is there and does not answer in time
 */
async function requestHandover(resume: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
  const name = randomBytes(16).toString('hex');
  const ticket = handoverTicket(resume, name);
  const socket = await reach(handoverSocket(resume));
  if (socket === undefined) return false;
  try {
    writeFileSync(ticket, '', { mode: 0o600, flag: 'wx' });
    const answer = await ask(socket, name, timeoutMs, signal);
    // Whoever removes the ticket has decided. Where it is gone, the predecessor is on its way out, whatever it said.
    if (!removeTicket(ticket)) return true;
    if (answer === 'closed') return false;
    signal?.throwIfAborted();
    const message = `the state file ${resume} is in use, and the process that has it did not hand over within ${ANSWER_WITHIN_MS} ms: it goes on as before`;
    throw new LivenessError('ERR_RESUME_BUSY', message);
  } catch (error) {
    removeTicketQuietly(ticket);
    throw toError(error);
  } finally {
    socket.destroy();
  }
}

function removeTicketQuietly(ticket: string): void {
  try {
    unlinkSync(ticket);
  } catch {
    // It was never made, or is gone.
  }
}

/** Connects; `undefined` where nobody listens. */
function reach(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

/** Has the conversation: the predecessor says `ready`, which shows that it runs, then `left`. */
function ask(socket: Socket, name: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<'left' | 'closed' | 'silent'> {
  return new Promise((resolve) => {
    let said = '';
    const timer = setTimeout(() => resolve('silent'), timeoutMs);
    const end = (outcome: 'left' | 'closed' | 'silent') => (): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const wasReady = said.includes('ready\n');
      said += text;
      if (said.includes('left\n')) end('left')();
      else if (!wasReady && said.includes('ready\n')) socket.write('go\n');
    });
    socket.once('close', end('closed'));
    socket.on('error', end('closed'));
    signal?.addEventListener('abort', end('silent'), { once: true });
    socket.write(`handover ${name}\n`);
  });
}

/** The control socket in the file system. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, renameSync, type Stats, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';

import { codeOf, LivenessError, messageOf } from '../../base/errors.js';

export interface SocketPlace {
  readonly path: string;
  readonly mode: number;
  readonly group: string | number | undefined;
}

/**
 * Listens on a unix socket. It has its permissions before anybody can reach it: it is made under another name. One that an agent
 * has left is replaced.
 *
 * @returns removes the socket, unless another agent has replaced it
 * @throws LivenessError `ERR_CONTROL_SOCKET` where another agent listens, or what is there is no socket
 */
export async function listenOnSocket(server: Server, { path, mode, group }: SocketPlace): Promise<() => void> {
  await requireFree(path);
  const draft = join(dirname(path), `.${process.pid}`);
  try {
    const gid = group === undefined ? undefined : groupNumber(group);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    removeStale(draft);
    await listen(server, draft);
    chmodSync(draft, mode);
    if (gid !== undefined) chownSync(draft, process.getuid?.() ?? 0, gid);
    renameSync(draft, path);
  } catch (cause) {
    throw unusable(path, messageOf(cause), cause);
  }
  const own = lstatSync(path);
  return () => {
    const now = statOf(path);
    if (now?.ino === own.ino && now.dev === own.dev) unlinkSync(path);
  };
}

/** @throws LivenessError `ERR_CONTROL_SOCKET` */
async function requireFree(path: string): Promise<void> {
  const found = statOf(path);
  if (found === undefined) return;
  if (!found.isSocket()) throw unusable(path, 'there is something else than a socket');
  const answer = await knock(path);
  if (answer === 'ECONNREFUSED' || answer === 'ENOENT') return;
  const why = answer === undefined ? 'another agent listens there' : `it cannot be told whether another agent listens there (${answer})`;
  throw unusable(path, `${why}; stop it, or set another \`control.socket\``);
}

/** Connects, and disconnects at once. The code of the failure; `undefined` where somebody listens. */
function knock(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(codeOf(error) ?? messageOf(error)));
  });
}

/** Listening on a path binds within the call, so that the mask of the process concerns nothing else. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const mask = process.umask(0o177);
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(mask);
  });
}

/** The draft of a process that had our number and is gone. */
function removeStale(draft: string): void {
  if (statOf(draft)?.isSocket() === true) unlinkSync(draft);
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Node has no call for this; groups of a directory service are given by their numbers. */
function groupNumber(group: string | number): number {
  if (typeof group === 'number') return group;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${group}:`));
  const gid = Number(line?.split(':')[2]);
  if (Number.isInteger(gid)) return gid;
  throw new Error(`/etc/group has no group \`${group}\`; give its number if it is elsewhere`);
}

function unusable(path: string, why: string, cause?: unknown): LivenessError {
  return new LivenessError('ERR_CONTROL_SOCKET', `The control socket ${path} cannot be used: ${why}`, { cause });
}

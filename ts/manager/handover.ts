/** Answers a successor that asks for the state file. `engine/native/handover-request.ts` is the other side. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

import { codeOf, LivenessError, messageOf } from '../base/errors.js';
import { handoverSocket, handoverTicket, removeTicket } from '../engine/native/handover-request.js';

/** A request has two lines, of 41 and 2 characters. */
const LONGEST_REQUEST = 64;

const LONGEST_CONVERSATION_MS = 5_000;

const REQUEST = /^handover ([0-9a-f]{32})\n/;

/** Lets go of port and state file. Resolves when both are free. */
export type LetGo = () => Promise<void>;

/** Listens beside the state file while its manager is open. It keeps no process alive. */
export class HandoverServer {
  readonly #resume: string;
  readonly #letGo: LetGo;
  readonly #server: Server;

  /**
   * The caller has the state file: a socket that is there is of a process that is gone.
   *
   * @throws LivenessError the system's error where the socket cannot be made
   */
  static async listen(resume: string, letGo: LetGo): Promise<HandoverServer> {
    const server = new HandoverServer(resume, letGo);
    try {
      await server.#listen();
    } catch (cause) {
      const path = handoverSocket(resume);
      throw new LivenessError(codeOf(cause) ?? 'ERR_CONFIG', `\`resume\`: the socket ${path} cannot be made: ${messageOf(cause)}`, {
        cause,
      });
    }
    return server;
  }

  private constructor(resume: string, letGo: LetGo) {
    this.#resume = resume;
    this.#letGo = letGo;
    this.#server = createServer((socket) => {
      this.#serve(socket);
    });
    // A connection that cannot be accepted, for want of descriptors say: whoever asks gives up after a second.
    this.#server.on('error', () => undefined);
  }

  /** Removes the socket. To be called while the state file is ours: a successor makes a socket of the same name. */
  close(): void {
    this.#server.close();
  }

  async #listen(): Promise<void> {
    const path = handoverSocket(this.#resume);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // Exclusive: a worker of a cluster listens itself. The name is made within the call.
      this.#server.listen({ path, exclusive: true }, resolve);
      this.#server.unref();
    });
    chmodSync(path, 0o600);
  }

  /** What is no request is not answered. */
  #serve(socket: Socket): void {
    let said = '';
    let hasAnswered = false;
    socket.unref();
    // Nobody who asks waits for longer.
    socket.setTimeout(LONGEST_CONVERSATION_MS, () => socket.destroy());
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (text: string) => {
      said += text;
      const name = REQUEST.exec(said)?.[1];
      if (name === undefined || said.length > LONGEST_REQUEST) {
        if (said.length > LONGEST_REQUEST || said.includes('\n')) socket.destroy();
      } else if (said.endsWith('go\n') && hasAnswered) {
        this.#handOver(socket, name);
      } else if (!hasAnswered) {
        hasAnswered = true;
        socket.write('ready\n');
      }
    });
  }

  /** Only if the successor still waits: it removes its ticket when it gives up. */
  #handOver(socket: Socket, name: string): void {
    let waits = false;
    try {
      waits = removeTicket(handoverTicket(this.#resume, name));
    } catch {
      // A ticket that cannot be removed is none of ours.
    }
    if (!waits) {
      socket.destroy();
      return;
    }
    // The end of it may take as long as it takes.
    socket.setTimeout(0);
    const left = (): void => {
      socket.end('left\n');
    };
    this.#letGo().then(left, left);
  }
}

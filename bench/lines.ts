/** A child process that answers lines of JSON. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export class LineProcess {
  readonly child: ChildProcess;
  readonly #waiting: { resolve: (line: unknown) => void; reject: (error: Error) => void }[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    if (child.stdout === null) throw new Error('the process has no output');
    createInterface({ input: child.stdout }).on('line', (line) => this.#waiting.shift()?.resolve(JSON.parse(line)));
    child.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`the endpoint has ended (${signal ?? code ?? 'no code'})`));
    });
  }

  /** Sends a line and waits for the next that comes back. One at a time: answers come in the order of the questions. */
  ask(message: unknown): Promise<unknown> {
    const { stdin, exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null) return Promise.reject(new Error('the endpoint has ended'));
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    stdin?.write(`${JSON.stringify(message)}\n`);
    return answer;
  }

  async end(): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

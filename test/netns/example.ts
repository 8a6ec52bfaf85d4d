/** Programs of the crate that tests run on a host of the lab. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { run } from './command.js';
import type { Host, Lab } from './lab.js';

const MANIFEST = fileURLToPath(new URL('../../crate/Cargo.toml', import.meta.url));
const FOLDER = fileURLToPath(new URL('../../crate/target/release/examples/', import.meta.url));

/** The first build may take minutes. */
export const BUILD_PATIENCE_MS = 600_000;

/** Builds examples; costs next to nothing where they are as new as their sources. */
export function buildExamples(...names: readonly string[]): void {
  const examples = names.flatMap((name) => ['--example', name]);
  run('cargo', ['build', '--locked', '--quiet', '--release', '--manifest-path', MANIFEST, ...examples]);
}

export class Example {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;

  /** Starts a built example with its settings. */
  constructor(lab: Lab, host: Pick<Host, 'name'>, name: string, setup: object) {
    this.#child = lab.spawn(host, `${FOLDER}${name}`, [JSON.stringify(setup)]);
    const { stdout } = this.#child;
    if (stdout === null) throw new Error(`${name} has no output`);
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it prints. @throws Error where it has ended */
  async read<T>(): Promise<T> {
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error(`the example has ended with ${String(this.#child.exitCode)}`);
    return JSON.parse(value) as T;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Ends it where it has not ended by itself. What it would have printed at its end is lost. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Ends its input, and waits for its end. */
  async end(): Promise<void> {
    const gone = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.stdin?.end();
    await gone;
  }
}

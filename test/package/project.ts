/** A project of a user: an empty folder outside of the checkout, where no compiler is found. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { inject } from 'vitest';

import { end, type Ending, run } from './command.js';
import { node, type NodeLine } from './tools.js';

/** The line of Node that installs and bundles, where a test does not ask for another. */
export const USUAL: NodeLine = '22';

export class Project implements Disposable {
  readonly folder: string;

  constructor(manifest: object = {}) {
    this.folder = mkdtempSync(join(lonelyFolder(), 'route-liveness-project-'));
    this.write('package.json', JSON.stringify({ name: 'project', version: '1.0.0', private: true, ...manifest }));
    mkdirSync(join(this.folder, '.home'));
    writeFileSync(join(this.folder, '.npmrc'), `registry=${inject('registry')}/\n`);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(this.path(file)), { recursive: true });
    writeFileSync(this.path(file), text);
  }

  /** Adds a program of `programs/`. */
  copy(program: string): void {
    cpSync(programOf(program), this.path(program));
  }

  /** Adds a program of `programs/` as CommonJS. */
  copyCommonJs(program: string, name: string): void {
    const text = readFileSync(programOf(program), 'utf8');
    this.write(name, text.replace(/^import (\{.*\}) from ('.*');$/gm, 'const $1 = require($2);'));
  }

  run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    return run(program, args, { cwd: this.folder, env: { ...this.env(), ...env } });
  }

  /** Runs a program on a line of Node; it must succeed. */
  node(line: NodeLine, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    return run(node(line), args, { cwd: this.folder, env: { ...this.env(line), ...env } });
  }

  /** Runs a program on a line of Node to its end, whatever that is. */
  end(line: NodeLine, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ending> {
    return end(node(line), args, { cwd: this.folder, env: { ...this.env(line), ...env } });
  }

  /** Nothing of this machine's environment, and a PATH of a shell and Node alone. */
  env(line: NodeLine = USUAL): NodeJS.ProcessEnv {
    const bin = this.path('.home', `bin-${line}`);
    mkdirSync(bin, { recursive: true });
    for (const [name, target] of [
      ['node', node(line)],
      ['sh', '/bin/sh'],
    ] as const) {
      link(target, join(bin, name));
    }
    return { PATH: bin, HOME: this.path('.home'), npm_config_registry: inject('registry'), npm_config_userconfig: this.path('.npmrc') };
  }
}

/** A folder for temporary files in which, and above which, there are no packages: a program would find them. */
function lonelyFolder(): string {
  const found = [tmpdir(), '/var/tmp', '/dev/shm'].find(
    (folder) => !foldersUpFrom(folder).some((it) => existsSync(join(it, 'node_modules'))),
  );
  if (found === undefined) throw new Error('each folder for temporary files has node_modules in it, or above it');
  return found;
}

function foldersUpFrom(folder: string): string[] {
  return dirname(folder) === folder ? [folder] : [folder, ...foldersUpFrom(dirname(folder))];
}

function programOf(name: string): string {
  return fileURLToPath(new URL(`programs/${name}`, import.meta.url));
}

function link(target: string, path: string): void {
  try {
    symlinkSync(target, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

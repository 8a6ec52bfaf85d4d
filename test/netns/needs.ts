/** What tests need of the machine, and what is said where it is not there. */
import { spawnSync } from 'node:child_process';

import { describe } from 'vitest';

import PACKAGES from './programs.json' with { type: 'json' };

export type Program =
  | 'ip'
  | 'nft'
  | 'tcpdump'
  | 'setpriv'
  | 'prometheus'
  | 'promtool'
  | 'tmux'
  | 'chromium'
  | 'systemd-analyze'
  | 'systemd-socket-activate'
  | 'bird'
  | 'bfdd';

/** Programs that are not on the path. */
const PLACES: Partial<Record<Program, string>> = { bfdd: '/usr/lib/frr/bfdd' };

/** Programs that have only the short option for their version. */
const SHORT: ReadonlySet<Program> = new Set(['ip', 'tmux']);

/** The longer forms of tests, as they run nightly. */
export const IS_LONG = process.env['LONG_TESTS'] === '1';

/** What most tests between namespaces use. */
export const LAB_PROGRAMS: readonly Program[] = ['ip', 'nft', 'tcpdump', 'setpriv'];

/** Why tests that need these programs, as root or not, cannot run here; `undefined` where they can. */
export function lacking(programs: readonly Program[], { asRoot = false }: { asRoot?: boolean } = {}): string | undefined {
  if (process.platform !== 'linux') return `this is ${process.platform}, and not Linux`;
  if (asRoot && process.getuid?.() !== 0) return 'not root';
  const missing = programs.filter((program) => !isThere(program));
  return missing.length === 0 ? undefined : missing.map((program) => `no ${program} (package ${packageOf(program)})`).join(', ');
}

/** The Debian package that has a program. `.ci/prepare-tests.mjs` installs what it can. */
export function packageOf(program: string): string {
  return (PACKAGES as Record<string, string>)[program] ?? program;
}

/** The title of a suite that is skipped ends with why: `.ci/skipped.mjs` counts the tests by that. */
export function describeWhere(title: string, reason: string | undefined, suite: () => void): void {
  if (reason === undefined) describe(title, suite);
  else describe.skip(`${title} (skipped: ${reason})`, suite);
}

/** A program that is there tells its version; an empty file in its place tells nothing. */
function isThere(program: Program): boolean {
  const { error, status, stdout, stderr } = spawnSync(PLACES[program] ?? program, [SHORT.has(program) ? '-V' : '--version'], {
    encoding: 'utf8',
  });
  return error === undefined && status === 0 && stdout + stderr !== '';
}

/** The results on disk: one file per machine's latest figures, each section with the time it was measured at. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { join } from 'node:path';

import type { Context } from './context.js';
import { RESULTS, ROOT } from './places.js';

export interface Kept {
  readonly measuredAt: string;
  readonly commit: string;
  readonly runs: number;
  readonly seconds: number;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string; readonly node: string };
  readonly data: unknown;
}

/** Quick figures are for a look; they do not replace those that the README shows. */
function fileOf(quick: boolean): string {
  return join(RESULTS, quick ? 'quick.json' : 'latest.json');
}

export function load(quick: boolean): Record<string, Kept> {
  const file = fileOf(quick);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Kept>) : {};
}

/** Puts the figures of one section beside those of the others. */
export function keep(section: string, data: unknown, { quick, runs, seconds }: Context): void {
  mkdirSync(RESULTS, { recursive: true });
  const kept: Kept = {
    measuredAt: new Date().toISOString(),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim(),
    runs,
    seconds,
    machine: { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), kernel: release(), node: process.version },
    data,
  };
  writeFileSync(fileOf(quick), `${JSON.stringify({ ...load(quick), [section]: kept }, null, 1)}\n`);
}

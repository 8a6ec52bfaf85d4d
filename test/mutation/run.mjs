// Breaks one rule at a time in a copy of the project, runs the tests that should notice, and tells which did not.
// `npm run mutation [rust|ts|filter] [a part of a rule's name]`. Plain Node.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { MUTATIONS } from './table.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const COPIED = [
  '.ci/skipped.mjs',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'ts',
  'test/unit',
  'test/conformance',
  'crate/src',
  'crate/tests',
  'crate/benches',
  'crate/Cargo.toml',
  'crate/Cargo.lock',
  'crate/build.rs',
];
const TESTS = {
  rust: [
    'cargo',
    'test',
    '--quiet',
    '--locked',
    '--manifest-path',
    'crate/Cargo.toml',
    '--test',
    'session_table',
    '--test',
    'conformance',
    '--test',
    'engine',
    '--test',
    'resume',
    '--test',
    'object_sweep',
    '--test',
    'planner_ipv6',
    '--test',
    'planner_objects',
    '--test',
    'planner_refused_moves',
  ],
  // The filter of repeats: the program in the kernel, and what the engine tells it.
  filter: ['cargo', 'test', '--quiet', '--locked', '--manifest-path', 'crate/Cargo.toml', '--lib', '--test', 'repeats', 'repeat'],
  ts: [
    'node',
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    'unit',
    '--bail',
    '1',
    'test/unit/session.test.ts',
    'test/unit/state-table.test.ts',
    'test/unit/bfd-state-table.test.ts',
    'test/conformance/scenarios.test.ts',
  ],
};
/** A fault may make a test run for ever: that is noticed, too. */
const PATIENCE_MS = 180_000;
/** The first run builds everything. */
const FIRST_PATIENCE_MS = 1_800_000;

const [first, ...rest] = process.argv.slice(2);
const engine = first in TESTS ? first : undefined;
const part = (engine === undefined ? [first, ...rest] : rest).filter(Boolean).join(' ');
const chosen = MUTATIONS.filter((it) => (engine === undefined || it.engine === engine) && it.rule.includes(part));

const copy = mkdtempSync(join(tmpdir(), 'route-liveness-mutation-'));
let survivors;
try {
  copyProject();
  const unfit = chosen.filter(({ file, from }) => readFileSync(join(copy, file), 'utf8').split(from).length !== 2);
  for (const { engine: name, file, rule, from } of unfit) console.error(`${name}: ${file} has not one place for "${rule}": ${from}`);
  if (unfit.length > 0) throw new Error('the table does not fit the code');
  for (const name of new Set(chosen.map((it) => it.engine))) {
    const { passes, output } = test(name, FIRST_PATIENCE_MS);
    if (!passes) throw new Error(`the tests fail without a fault, too:\n${output}`);
  }
  survivors = chosen.filter((mutation) => !isKilled(mutation));
} finally {
  rmSync(copy, { recursive: true, force: true });
}
for (const name of new Set(chosen.map((it) => it.engine))) {
  const all = chosen.filter((it) => it.engine === name).length;
  const alive = survivors.filter((it) => it.engine === name).length;
  console.log(`${name}: ${all - alive} of ${all} faults were noticed`);
}
for (const { engine: name, file, rule } of survivors) console.log(`survived: ${name} (${file}): ${rule}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

function copyProject() {
  for (const path of COPIED) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
}

function isKilled({ engine: name, file, rule, from, to }) {
  const path = join(copy, file);
  const original = readFileSync(path, 'utf8');
  writeFileSync(path, original.split(from).join(to));
  const { passes, output } = test(name);
  writeFileSync(path, original);
  // Rust that does not compile proves nothing.
  if (/^error(\[E\d+\])?: (?!test failed|\d+ targets? failed)/m.test(output)) throw new Error(`"${rule}" does not compile:\n${output}`);
  console.log(`${passes ? 'SURVIVED' : 'noticed '} ${name}: ${rule}`);
  return !passes;
}

function test(name, patience = PATIENCE_MS) {
  const [command, ...args] = TESTS[name];
  const env = { ...process.env, CARGO_TARGET_DIR: join(copy, 'target'), CARGO_TERM_COLOR: 'never' };
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: copy,
    env,
    encoding: 'utf8',
    timeout: patience,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined && error.code !== 'ETIMEDOUT') throw error;
  return { passes: status === 0, output: `${stdout}${stderr}` };
}

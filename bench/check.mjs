// Counts the instructions that the core spends per event (a packet received or sent), and fails where they are more than a
// tenth above the committed baseline. Instructions, not time: they are the same on a busy machine. `--update` writes the
// baseline anew.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const BASELINE = join(ROOT, 'bench', 'instructions.json');
const PROGRAM = join(ROOT, 'crate', 'target', 'release', 'examples', 'simulated');
/** Enough for the heap and the tables to have their shape, few enough for the emulator. */
const SESSIONS = 1_000;
const ALLOWED = 1.1;

run('cargo', ['build', '--quiet', '--locked', '--release', '--manifest-path', join(ROOT, 'crate', 'Cargo.toml'), '--example', 'simulated']);
const perEvent = count();
if (process.argv.includes('--update')) {
  writeFileSync(
    BASELINE,
    `${JSON.stringify({ sessions: SESSIONS, perEvent, toolchain: run('rustc', ['--version']).stdout.trim() }, null, 2)}\n`,
  );
  console.log(`${perEvent} instructions per event, noted as the baseline`);
} else {
  const baseline = JSON.parse(readFileSync(BASELINE, 'utf8'));
  const change = ((perEvent / baseline.perEvent - 1) * 100).toFixed(1);
  console.log(`${perEvent} instructions per event; the baseline (${baseline.toolchain}) is ${baseline.perEvent}: ${change} %`);
  if (perEvent > baseline.perEvent * ALLOWED) {
    console.log('More than 10 % above the baseline. If that is meant: npm run bench:check -- --update');
    process.exitCode = 1;
  }
}

function count() {
  const folder = mkdtempSync(join(tmpdir(), 'callgrind-'));
  try {
    const flags = ['--tool=callgrind', `--callgrind-out-file=${join(folder, 'out')}`, '--toggle-collect=simulated::run*'];
    const { stdout, stderr } = run('valgrind', [...flags, PROGRAM, String(SESSIONS)]);
    const instructions = Number(/Collected : (\d+)/.exec(stderr)?.[1]);
    const { events, warmUpEvents } = JSON.parse(stdout);
    if (!(instructions > 0)) throw new Error(`callgrind counted nothing:\n${stderr}`);
    return Math.round((instructions / (events + warmUpEvents)) * 10) / 10;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.error !== undefined) throw new Error(`${command} cannot be run: ${result.error.message} (Debian: apt-get install ${command})`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr}`);
  return result;
}

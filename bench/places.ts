/** Where things are. The bench runs as `bench/.out/main.js`. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const BENCH = join(dirname(fileURLToPath(import.meta.url)), '..');
export const ROOT = join(BENCH, '..');
export const RESULTS = join(BENCH, 'results');
export const FLOOR = join(ROOT, 'crate', 'target', 'release', 'examples', 'floor');
export const SIMULATED = join(ROOT, 'crate', 'target', 'release', 'examples', 'simulated');

/** The contract of the engines on the wire, each against each. */
import { type EngineKind, engineContract } from '../contract/engine.js';
import { IS_LONG } from './needs.js';

/** The mirror of the last one is for the night. */
const PAIRS: readonly [EngineKind, EngineKind][] = [
  ['native', 'native'],
  ['js', 'js'],
  ['native', 'js'],
];

for (const [one, two] of PAIRS) engineContract(one, two);
if (IS_LONG) engineContract('js', 'native');

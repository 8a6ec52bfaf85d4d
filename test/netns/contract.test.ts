/** The contract of the engines on the wire, each against each. */
import { type EngineKind, engineContract } from '../contract/engine.js';

const KINDS: readonly EngineKind[] = ['native', 'js'];

for (const one of KINDS) for (const two of KINDS) engineContract(one, two);

/** The contract of the engines on the wire: one engine against the other. The mirror of it is for the night. */
import { engineContract } from '../contract/engine.js';
import { IS_LONG } from './needs.js';

engineContract('native', 'js');
if (IS_LONG) engineContract('js', 'native');

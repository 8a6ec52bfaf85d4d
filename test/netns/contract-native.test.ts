/** The contract of the engines on the wire: the native engine against itself. */
import { engineContract } from '../contract/engine.js';

engineContract('native', 'native');

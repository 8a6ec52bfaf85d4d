/** The contract of the engines on the wire: the JavaScript engine against itself. */
import { engineContract } from '../contract/engine.js';

engineContract('js', 'js');

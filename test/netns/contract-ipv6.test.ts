/** The contract of the engines on the wire over IPv6: the native engine against itself, and at night against the JavaScript engine. */
import { engineContract } from '../contract/engine.js';
import { IS_LONG } from './needs.js';

engineContract('native', 'native', { addressing: 'IPv6' });
if (IS_LONG) {
  engineContract('native', 'native', { addressing: 'link-local' });
  engineContract('native', 'js', { addressing: 'IPv6' });
  engineContract('js', 'js', { addressing: 'link-local' });
}

/** The contract of the engines on the wire with BFD: the native engine against itself, and at night against the JavaScript engine. */
import { engineContract } from '../contract/engine.js';
import { IS_LONG } from './needs.js';

engineContract('native', 'native', { protocol: 'bfd', addressing: 'link-local' });
if (IS_LONG) {
  engineContract('native', 'native', { protocol: 'bfd' });
  engineContract('native', 'js', { protocol: 'bfd' });
  engineContract('js', 'js', { protocol: 'bfd', addressing: 'IPv6' });
}

/** Keeps web pages of others away from a control API on a TCP address, which every browser of the host can reach. */
import type { IncomingMessage } from 'node:http';

import { isLoopback } from '../config/listen-address.js';
import { RequestError } from '../request-error.js';

/**
 * Refuses what a web page of another origin has a browser send.
 *
 * @param onlyLoopback the server listens on a loopback address, so that it is asked by that address or as `localhost`. Any other
 * name is one that its owner had resolve to this host (DNS rebinding)
 * @throws RequestError 403
 */
export function checkOrigin({ headers, method }: IncomingMessage, onlyLoopback: boolean): void {
  const { host = '', origin } = headers;
  if (onlyLoopback && !isLoopbackHost(host)) {
    throw new RequestError(403, 'ERR_FORBIDDEN', `The header Host is \`${host}\`: ask by a loopback address or as localhost`);
  }
  if (method === 'GET' || method === 'HEAD') return;
  const site = headers['sec-fetch-site'];
  const isForeign =
    (origin !== undefined && origin !== `http://${host}`) || (site !== undefined && site !== 'same-origin' && site !== 'none');
  if (isForeign) throw new RequestError(403, 'ERR_FORBIDDEN', `A page of ${origin ?? 'another origin'} may not change anything here`);
}

function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '');
  return name.toLowerCase() === 'localhost' || name === '[::1]' || isLoopback(name);
}

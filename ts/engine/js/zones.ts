/** Zones of IPv6 addresses: a link-local address means nothing without its interface (RFC 4007). */
import { isLinkLocal } from '../../base/address.js';
import type { Path } from './engine-core.js';

/** An address as sockets take it: a link-local one with the interface as its zone, `fe80::1%eth0`. */
export function withZone(address: string, iface: string): string {
  return iface !== '' && isLinkLocal(address) ? `${address}%${iface}` : address;
}

/** The local address of a path as sockets take it. */
export function localOf({ localIP, iface }: Path): string {
  return withZone(localIP, iface);
}

/** An address as sockets show it, in its parts. */
export function splitZone(text: string): { readonly address: string; readonly zone: string | undefined } {
  const at = text.indexOf('%');
  return at < 0 ? { address: text, zone: undefined } : { address: text.slice(0, at), zone: text.slice(at + 1) };
}

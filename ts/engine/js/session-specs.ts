/** The specifications of sessions that the JavaScript engine is given. */
import { LivenessError } from '../../base/errors.js';
import type { BfdSessionOptions } from '../../protocol/bfd/options.js';
import type { SessionSpec } from '../engine.js';

/** Node tells no packet's TTL. @throws LivenessError `ERR_ENGINE_UNAVAILABLE` if a least TTL is given; 1 is that of every packet */
export function checkTtls(specs: readonly SessionSpec[]): void {
  if (specs.every(({ minTtl = 1 }) => minTtl <= 1)) return;
  throw new LivenessError('ERR_ENGINE_UNAVAILABLE', "`minTtl` needs the native engine: Node tells no packet's TTL");
}

/** The caller may reuse a specification after the call. */
export function copyOf({ id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult, multihop, bfd }: SessionSpec): SessionSpec {
  return { id, iface, localIP, peerIP, peerPort, txMinUs, rxMinUs, detectMult, multihop, bfd: bfd && copyOfOptions(bfd) };
}

function copyOfOptions({ passive, auth }: BfdSessionOptions): BfdSessionOptions {
  const keys = auth?.keys.map((key) => ({ ...key, secret: Uint8Array.from(key.secret) }));
  return { passive, auth: auth && keys && { type: auth.type, keys } };
}

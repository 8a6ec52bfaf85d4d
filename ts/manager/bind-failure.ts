/** Why a port cannot be bound: the error says who holds it, since another daemon of BFD is the usual reason. */
import { codeOf, LivenessError, messageOf } from '../base/errors.js';
import { type PortHolder, portHolders } from '../base/port-holder.js';

/** The error itself; for `EADDRINUSE` one that names the processes that hold the port, as far as the system tells. Never rejects. */
export async function explained(error: unknown, addresses: readonly string[], port: number): Promise<unknown> {
  if (codeOf(error) !== 'EADDRINUSE') return error;
  const found = await Promise.all(addresses.map((address) => portHolders(address, port)));
  const holders = new Map(found.flat().map((holder) => [holder.pid, holder]));
  const who =
    holders.size === 0
      ? `the system does not tell this process who holds UDP port ${port}: \`ss -ulnp 'sport = :${port}'\` as root does`
      : `UDP port ${port} is held by ${[...holders.values()].map(nameOf).join(' and ')}`;
  return new LivenessError('EADDRINUSE', `${messageOf(error)}; ${who}`, { cause: error });
}

function nameOf({ pid, name }: PortHolder): string {
  return pid === process.pid ? `this process (${pid})` : `${name} (process ${pid})`;
}

/** Holds a configuration to the host that it is for: its interfaces and addresses. */
import { hasInterface, isLocalAddress } from '../../base/host-interfaces.js';
import { expected } from '../../base/errors.js';
import { didYouMean } from '../../base/nearest-name.js';
import type { Peer } from '../../index.js';
import type { Issues } from './issues.js';
import type { ManagerSettings } from './manager-section.js';
import type { PartPath } from './source-file.js';
import { networkInterfaces } from 'node:os';

/** What it is that this host lacks an interface or an address. */
export type HostFaults = 'fault' | 'warning';

export function checkHost(managers: readonly ManagerSettings[], issues: Issues, what: HostFaults): void {
  const report = (path: PartPath, message: string): void => {
    if (what === 'fault') issues.add(path, message);
    else issues.warn(path, message);
  };
  const interfaces = new Map<string, boolean>();
  const addresses = new Map<string, boolean>();
  const check = (peer: Peer, path: PartPath, localField: string): void => {
    const { iface, localIP } = peer;
    if (!remembered(interfaces, iface, hasInterface)) {
      const names = Object.keys(networkInterfaces());
      report([...path, 'iface'], `${expected('iface', 'an interface of this host', iface)}${didYouMean(iface, names)}`);
    }
    if (!remembered(addresses, localIP, isLocalAddress)) {
      report([...path, localField], expected(localField, 'an address of this host', localIP));
    }
  };
  for (const { routes, sessions } of managers) {
    for (const { peer, path } of routes) check(peer, path, 'src');
    for (const { peer, path } of sessions) check(peer, path, 'localIP');
  }
}

/** Asked once for each name, since there may be thousands of routes on one interface. */
function remembered(known: Map<string, boolean>, name: string, ask: (name: string) => boolean): boolean {
  const answer = known.get(name) ?? ask(name);
  known.set(name, answer);
  return answer;
}

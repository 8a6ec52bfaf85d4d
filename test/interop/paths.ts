/** The paths between an agent on one host and a daemon on another, in a lab with or without a router between them. */
import { run } from '../netns/command.js';
import { Lab } from '../netns/lab.js';

export interface BfdPath {
  readonly title: string;
  readonly multihop: boolean;
  /** The agent's address, on the first host. */
  readonly ours: string;
  /** The daemon's address, on the second host. */
  readonly theirs: string;
  /** What the first host has a route to while the session is Up. */
  readonly service: string;
}

const ROUTER = { ipv4: ['10.202.1', '10.202.2'], ipv6: ['2001:db8:202:1:', '2001:db8:202:2:'] } as const;

/** Between hosts that a link joins. */
export const SINGLE_HOP: readonly BfdPath[] = [
  { title: 'IPv4', multihop: false, ours: '10.201.0.1', theirs: '10.201.0.2', service: '10.9.0.2/32' },
  { title: 'IPv6', multihop: false, ours: '2001:db8:201::1', theirs: '2001:db8:201::2', service: '2001:db8:9::2/128' },
  { title: 'IPv6 between link-local addresses', multihop: false, ours: 'fe80::1', theirs: 'fe80::2', service: '2001:db8:9::3/128' },
];

/** Between hosts on both sides of a router. */
export const MULTIHOP: readonly BfdPath[] = [
  { title: 'multihop IPv4', multihop: true, ours: '10.202.1.1', theirs: '10.202.2.1', service: '10.9.0.4/32' },
  { title: 'multihop IPv6', multihop: true, ours: '2001:db8:202:1::1', theirs: '2001:db8:202:2::1', service: '2001:db8:9::4/128' },
];

/** Two hosts with a link that has addresses of all kinds. */
export function linkedLab(ifaces?: readonly [string, string]): Lab {
  const lab = new Lab(ifaces && { ifaces });
  lab.addIPv6();
  lab.addLinkLocal();
  return lab;
}

/** Two hosts with a router between them. */
export function routedLab(ifaces?: readonly [string, string]): Lab {
  const lab = new Lab({ relayed: true, ...(ifaces && { ifaces }) });
  const router = lab.middle ?? '';
  for (const [host, iface, index] of [
    [lab.one, 'm1', 0],
    [lab.two, 'm2', 1],
  ] as const) {
    const [ipv4, ipv6] = [ROUTER.ipv4[index], ROUTER.ipv6[index]];
    run('ip', ['-n', host.name, 'addr', 'add', `${ipv4}.1/24`, 'dev', host.iface]);
    run('ip', ['-n', host.name, 'addr', 'add', `${ipv6}:1/64`, 'dev', host.iface, 'nodad']);
    run('ip', ['-n', router, 'addr', 'add', `${ipv4}.254/24`, 'dev', iface]);
    run('ip', ['-n', router, 'addr', 'add', `${ipv6}:fe/64`, 'dev', iface, 'nodad']);
    const far = { ipv4: ROUTER.ipv4[1 - index], ipv6: ROUTER.ipv6[1 - index] };
    run('ip', ['-n', host.name, 'route', 'add', `${far.ipv4}.0/24`, 'via', `${ipv4}.254`]);
    run('ip', ['-n', host.name, 'route', 'add', `${far.ipv6}:/64`, 'via', `${ipv6}:fe`]);
  }
  for (const name of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) {
    run('ip', ['netns', 'exec', router, 'sysctl', '-q', '-w', `${name}=1`]);
  }
  return lab;
}

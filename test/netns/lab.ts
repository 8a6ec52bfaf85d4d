/** Two hosts: network namespaces with a link between them and routing tables of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

import { attempt, run } from './command.js';
import { describeWhere, LAB_PROGRAMS, lacking, type Program } from './needs.js';

const PREFIX = 'rl-';

let count = 0;

/** Which addresses the hosts of a lab speak to each other with. */
export type Addressing = 'IPv4' | 'IPv6' | 'link-local';

/** By the number of a host: its end of the link, and what the other host has a route to. */
const ADDRESSES: Readonly<Record<Addressing, { length: number; link: string; service: string }>> = {
  IPv4: { length: 24, link: '10.201.0.', service: '10.9.0.' },
  IPv6: { length: 64, link: '2001:db8:201::', service: '2001:db8:9::' },
  'link-local': { length: 64, link: 'fe80::', service: '2001:db8:9::' },
};

/** A host of the lab, numbered 1 or 2. */
export interface Host {
  readonly name: string;
  readonly iface: string;
  /** Its end of the link. */
  readonly address: string;
  /** Its end of the link after `addIPv6`. */
  readonly addressIPv6: string;
  /** Its link-local end of the link after `addLinkLocal`. */
  readonly addressLinkLocal: string;
  /** What the other host has a route to while the session is Up. */
  readonly service: string;
}

/** A route as the kernel lists it. */
export interface ListedRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol: string;
  readonly metric?: number;
}

/** Why no suite can run between namespaces, with all the programs that any of them uses; `undefined` where they can. */
export function cannotRun(): string | undefined {
  return lacking(LAB_PROGRAMS, { asRoot: true });
}

/** A suite between namespaces: skipped, with the reason, where those or the programs that it needs cannot be had. */
export function describeLab(title: string, programs: readonly Program[], suite: () => void): void {
  describeWhere(title, lacking(['ip', ...programs], { asRoot: true }), suite);
}

export class Lab {
  readonly one: Host;
  readonly two: Host;
  /** The namespace between the hosts, whose interfaces `m1` and `m2` a relay joins; none where they have a link. */
  readonly middle: string | undefined;
  readonly addressing: Addressing;
  readonly #cleanup: (() => void)[] = [];

  /**
   * @param relayed no link joins the hosts: each has one to a namespace between them, where a relay has to run
   * @param ifaces the names of the interfaces of both hosts
   * @param addressing of `Host.address` and `Host.service`. Default: IPv4
   */
  constructor({
    relayed = false,
    ifaces = ['v1', 'v2'],
    addressing = 'IPv4',
  }: { relayed?: boolean; ifaces?: readonly [string, string]; addressing?: Addressing } = {}) {
    sweep();
    this.addressing = addressing;
    count += 1;
    const host = (number: 1 | 2): Host => ({
      name: `${PREFIX}${process.pid}-${count}-${number}`,
      iface: ifaces[number - 1] ?? '',
      address: `${ADDRESSES[addressing].link}${number}`,
      addressIPv6: `${ADDRESSES.IPv6.link}${number}`,
      addressLinkLocal: `${ADDRESSES['link-local'].link}${number}`,
      service: `${ADDRESSES[addressing].service}${number}`,
    });
    this.one = host(1);
    this.two = host(2);
    this.middle = relayed ? `${PREFIX}${process.pid}-${count}-m` : undefined;
    for (const name of [this.one.name, this.two.name, ...(this.middle === undefined ? [] : [this.middle])]) {
      run('ip', ['netns', 'add', name]);
      this.#cleanup.push(() => attempt('ip', ['netns', 'del', name]));
      run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    }
    this.makeLink();
    const closeAtExit = (): void => {
      this.close();
    };
    process.once('exit', closeAtExit);
    this.#cleanup.push(() => process.off('exit', closeAtExit));
  }

  /** Joins the hosts; also after `removeLink`. */
  makeLink(): void {
    const [one, two] = [this.one, this.two];
    if (this.middle === undefined) {
      run('ip', ['link', 'add', one.iface, 'netns', one.name, 'type', 'veth', 'peer', 'name', two.iface, 'netns', two.name]);
    } else {
      for (const [host, iface] of [
        [one, 'm1'],
        [two, 'm2'],
      ] as const) {
        run('ip', ['link', 'add', host.iface, 'netns', host.name, 'type', 'veth', 'peer', 'name', iface, 'netns', this.middle]);
        run('ip', ['-n', this.middle, 'link', 'set', iface, 'up']);
      }
    }
    for (const host of [one, two]) {
      this.addAddress(host, host.address, ADDRESSES[this.addressing].length);
      run('ip', ['-n', host.name, 'link', 'set', host.iface, 'up']);
    }
  }

  /** Gives the ends of the link global addresses of IPv6. */
  addIPv6(): void {
    for (const host of [this.one, this.two]) this.addAddress(host, host.addressIPv6, 64);
  }

  /** Gives the ends of the link link-local addresses that can be foretold, beside those that the kernel makes. */
  addLinkLocal(): void {
    for (const host of [this.one, this.two]) this.addAddress(host, host.addressLinkLocal, 64);
  }

  /** Adds an address to a host's end of the link. One of IPv6 can be used at once: nothing checks whether it is a duplicate. */
  addAddress({ name, iface }: Host, address: string, length: number): void {
    const flags = address.includes(':') ? ['nodad'] : [];
    run('ip', ['-n', name, 'addr', 'add', `${address}/${length}`, 'dev', iface, ...flags]);
  }

  removeLink(): void {
    run('ip', ['-n', this.one.name, 'link', 'del', this.one.iface]);
  }

  other(host: Host): Host {
    return host === this.one ? this.two : this.one;
  }

  /** Packets of either protocol that a host sends get no further. */
  cut(from: Host): void {
    this.#drop(from, ['output']);
  }

  heal(from: Host): void {
    run('ip', ['netns', 'exec', from.name, 'nft', 'delete', 'table', 'inet', 'cut']);
  }

  /** In one moment: otherwise one host may miss the other's packets, and say so, before its own are cut. */
  cutBoth(): void {
    this.#drop(this.two, ['output', 'input']);
  }

  healBoth(): void {
    this.heal(this.two);
  }

  #drop(host: Host, hooks: readonly string[]): void {
    const chains = hooks.map((hook) => `chain ${hook} { type filter hook ${hook} priority 0; udp dport { 3784, 4784, 44880 } drop; }`);
    run('ip', ['netns', 'exec', host.name, 'nft', '-f', '-'], `table inet cut {\n${chains.join('\n')}\n}\n`);
  }

  /** The routes of a table, of the family of the lab's services, without those that the kernel made itself. */
  routes(host: Host, table = 'main'): ListedRoute[] {
    const listed = run('ip', ['-n', host.name, this.#family, '-j', '-N', 'route', 'show', 'table', table]);
    return (JSON.parse(listed === '' ? '[]' : listed) as ListedRoute[]).filter((route) => route.protocol !== '2');
  }

  has(host: Host, dst: string, table = 'main'): boolean {
    return this.routes(host, table).some((route) => route.dst === dst);
  }

  /** `ip route …` on a host, in the family of the lab's services. */
  route(host: Host, ...args: string[]): void {
    run('ip', ['-n', host.name, this.#family, 'route', ...args]);
  }

  /** Starts a program on a host, ended with the lab at the latest. */
  spawn(host: Pick<Host, 'name'>, command: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', host.name, command, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.#cleanup.push(() => child.kill('SIGKILL'));
    return child;
  }

  /** A host's service as a destination. */
  prefix({ service }: Host): string {
    return `${service}/${this.addressing === 'IPv4' ? 32 : 128}`;
  }

  get #family(): string {
    return this.addressing === 'IPv4' ? '-4' : '-6';
  }

  close(): void {
    for (const undo of this.#cleanup.splice(0).reverse()) undo();
  }
}

/** Removes what a lab of a process that is gone has left. */
function sweep(): void {
  const folder = '/run/netns';
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) attempt('ip', ['netns', 'del', name]);
  }
}

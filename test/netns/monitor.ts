/** What the kernel says of its routing tables, stamped when it happened. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { Host, Lab } from './lab.js';

export interface RouteNotice {
  /** The wall clock's time in milliseconds, fractions included. */
  readonly at: number;
  readonly op: 'add' | 'delete';
  readonly dst: string;
}

export interface PacketNotice {
  readonly at: number;
}

/** Follows `ip -ts monitor route` on a host. */
export class RouteMonitor {
  readonly notices: RouteNotice[] = [];
  readonly #child: ChildProcess;

  constructor(lab: Lab, host: Host) {
    this.#child = lab.spawn(host, 'ip', ['-ts', 'monitor', 'route'], { TZ: 'UTC' });
    lines(this.#child, (line) => {
      const match = /^\[([\d\-T:.]+)\] (Deleted )?([\da-f]+[.:][\da-f.:]*(?:\/\d+)?) /.exec(line);
      if (match?.[1] === undefined || match[3] === undefined) return;
      this.notices.push({ at: toMilliseconds(match[1]), op: match[2] === undefined ? 'add' : 'delete', dst: match[3] });
    });
  }

  /** The first notice after a time that fits; waits for it. */
  async notice(op: 'add' | 'delete', dst: string, after: number): Promise<RouteNotice> {
    const deadline = Date.now() + 15_000;
    for (;;) {
      const found = this.notices.find((notice) => notice.op === op && notice.dst === dst && notice.at > after);
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`the kernel did not ${op} ${dst}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Stamps, by the kernel, of the packets of either protocol that arrive at a host: independent of what the agent says. */
export class ArrivalMonitor {
  #last = 0;

  private constructor(child: ChildProcess) {
    lines(child, (line) => {
      const stamp = Number(/^(\d+\.\d+) /.exec(line)?.[1]);
      if (!Number.isNaN(stamp)) this.#last = stamp * 1_000;
    });
  }

  static async start(lab: Lab, host: Host): Promise<ArrivalMonitor> {
    const filter = `udp and (dst port 44880 or dst port 3784) and dst host ${host.address}`;
    const monitor = new ArrivalMonitor(lab.spawn(host, 'tcpdump', ['-q', '-i', host.iface, '-n', '-l', '-tt', '--immediate-mode', filter]));
    const deadline = Date.now() + 10_000;
    while (monitor.last === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    return monitor;
  }

  /** When the last one arrived, in milliseconds of the wall clock. */
  get last(): number {
    return this.#last;
  }
}

function lines(child: ChildProcess, each: (line: string) => void): void {
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', each);
}

/** Dates keep milliseconds only; the rest is added by hand. */
function toMilliseconds(stamp: string): number {
  const [seconds = '', fraction = ''] = stamp.split('.');
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction}`) * 1_000;
}

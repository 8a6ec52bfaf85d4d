/** What the operator's guide says of upgrades: the kernel's own notices show whether a route was ever away. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SessionJson } from '../../ts/agent/control-api.js';
import { describeLab } from '../netns/lab.js';
import { RouteMonitor } from '../netns/monitor.js';
import { type Daemon, OperatorLab } from './daemons.js';

const SESSIONS = 3;
const ADOPTING = { adopt: [{ protocol: 186, table: 254 }] };

describeLab('an agent that is replaced', ['nft'], () => {
  let lab: OperatorLab;
  let there: Daemon;
  let agent: Daemon;
  let monitors: readonly RouteMonitor[];

  const areUp = (sessions: readonly SessionJson[]): boolean =>
    sessions.length === SESSIONS && sessions.every(({ liveness_status }) => liveness_status === 'up');
  const areInstalled = async (): Promise<void> => {
    for (const daemon of [agent, there]) {
      await daemon.until(areUp);
      await expect
        .poll(async () => (await daemon.client.routes()).routes.filter(({ rt_status }) => rt_status === 'present').length, {
          timeout: 20_000,
        })
        .toBe(SESSIONS);
    }
  };
  /** Routes that were deleted on the hosts, one and two. */
  const deleted = (): number[] =>
    monitors.map(({ notices }) => notices.filter(({ op, dst }) => op === 'delete' && dst.startsWith('10.9.')).length);

  beforeEach(async () => {
    lab = new OperatorLab(SESSIONS);
    const { one, two } = lab.lab;
    const routes = lab.peers.map((peer, index) => ({
      iface: two.iface,
      dst: `10.9.1.${index + 1}/32`,
      src: peer,
      nextHop: one.address,
      peerIP: one.address,
    }));
    there = lab.answerer({ manager: { routes, sessions: [] } });
    agent = lab.watcher({ manager: ADOPTING });
    await areInstalled();
    monitors = [one, two].map((host) => new RouteMonitor(lab.lab, host));
    // Routes of somebody else, until one is noticed, show that the monitors listen.
    for (const [index, host] of [one, two].entries()) {
      for (let number = 0; monitors[index]?.notices.length === 0; number += 1) {
        lab.lab.route(host, 'add', `10.99.${number}.0/24`, 'dev', host.iface);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  });

  afterEach(async () => {
    await lab.close();
  });

  const replace = async (): Promise<void> => {
    expect(await agent.stop()).toBe(0);
    // The peers notice it, which is what a hold is for.
    await there.until((sessions) => sessions.every(({ liveness_status }) => liveness_status === 'down'));
    agent = lab.watcher({ manager: ADOPTING });
    await areInstalled();
  };

  it('with a hold at the peers, and adoption, deletes no route on either side', async () => {
    await there.post('/hold', { seconds: 300, reason: 'upgrade' });
    await replace();
    await there.post('/release', {});
    expect(there.ask('status')).toMatchObject({ code: 0 });
    expect(deleted()).toEqual([0, 0]);
  });

  it('without a hold costs the peers their routes until it is back, and this host none', async () => {
    await replace();
    expect(deleted()).toEqual([0, SESSIONS]);
  });
});

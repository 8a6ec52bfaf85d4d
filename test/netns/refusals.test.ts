/** What a host refuses: an error with its code, and nothing half done. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent, registerService, serviceRoute } from './agent.js';
import { run } from './command.js';
import { describeLab, Lab } from './lab.js';

const CONFIG = { txMin: 50, rxMin: 50, detectMult: 3 };

describeLab('on a real host', ['setpriv'], () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(() => {
    lab.close();
  });

  it.each([false, true])('a manager of kernel routes does not start without CAP_NET_ADMIN (passive mode: %s)', async (passiveMode) => {
    const without = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin', '--'];
    const agent = new Agent(lab, lab.one, without);
    const refused = agent.call('start', { ...CONFIG, bindIP: lab.one.address, passiveMode });
    await expect(refused).rejects.toMatchObject({ code: 'EPERM', message: expect.stringContaining('CAP_NET_ADMIN') as string });
  });

  it('an address of another host cannot be bound', async () => {
    const agent = new Agent(lab, lab.one);
    const refused = agent.call('start', { ...CONFIG, bindIP: lab.two.address });
    await expect(refused).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  it('an interface that does not exist and an address that is not ours register nothing', async () => {
    const agent = await Agent.start(lab, lab.one);
    const route = serviceRoute(lab, lab.one);
    const peerIP = lab.two.address;
    await expect(agent.call('registerRoute', route, 'nosuch0', { peerIP })).rejects.toMatchObject({ code: 'ERR_NO_SUCH_INTERFACE' });
    const foreign = { ...route, src: '10.201.0.77' };
    await expect(agent.register(foreign, { peerIP })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
    const many = [
      { route, iface: lab.one.iface, peerIP },
      { route: { ...foreign, priority: 9 }, iface: lab.one.iface, peerIP },
    ];
    await expect(agent.call('registerRoutes', many)).rejects.toThrow(/\[1\] EADDRNOTAVAIL/);
    expect(await agent.sessions()).toEqual([]);
  });

  it.each(['native', 'js'])('an alternative name of an interface and a label of an address register nothing (%s)', async (engine) => {
    run('ip', ['-n', lab.one.name, 'link', 'property', 'add', 'dev', lab.one.iface, 'altname', 'enp0s3']);
    run('ip', ['-n', lab.one.name, 'addr', 'add', '10.201.0.9/24', 'dev', lab.one.iface, 'label', `${lab.one.iface}:1`]);
    const agent = await Agent.start(lab, lab.one, { engine });
    const route = serviceRoute(lab, lab.one);
    for (const iface of ['enp0s3', `${lab.one.iface}:1`]) {
      const refused = agent.call('registerRoute', route, iface, { peerIP: lab.two.address });
      await expect(refused, iface).rejects.toMatchObject({ code: 'ERR_NO_SUCH_INTERFACE' });
    }
    expect(await agent.sessions()).toEqual([]);
    await agent.register(route, { peerIP: lab.two.address });
  });

  it('in passive mode a route that the kernel refuses is not registered', async () => {
    const agent = await Agent.start(lab, lab.one, { passiveMode: true });
    const unreachable = serviceRoute(lab, lab.one, { nextHop: '192.168.250.1' });
    await expect(agent.register(unreachable, { peerIP: lab.two.address })).rejects.toMatchObject({ code: 'ERR_ROUTE_BACKEND' });
    expect(await agent.sessions()).toEqual([]);
    await registerService(lab, agent);
    expect(lab.has(lab.one, lab.two.service)).toBe(true);
  });
});

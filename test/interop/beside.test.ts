/** An agent on a host where a BFD daemon runs: what docs/bfd.md says of it. */
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Agent } from '../netns/agent.js';
import { run } from '../netns/command.js';
import { Lab } from '../netns/lab.js';
import { describeWhere, LAB_PROGRAMS, lacking } from '../netns/needs.js';
import { Bird } from './bird.js';
import { Frr } from './frr.js';
import { until } from './until.js';

/** The second address of the first host, which no daemon has a session on. */
const OTHER = '10.201.0.3';

const BFD = { protocol: 'bfd', txMin: 50, rxMin: 50, detectMult: 3 } as const;

const birdConfig = (options: string): string => `
router id 10.201.0.1;
protocol device { scan time 1; }
protocol bfd { ${options} interface "v1" { interval 50 ms; multiplier 3; }; neighbor 10.201.0.2 dev "v1" local 10.201.0.1; }
`;

describeWhere('an agent beside a BFD daemon', lacking([...LAB_PROGRAMS, 'bird', 'bfdd'], { asRoot: true }), () => {
  let lab: Lab;
  let agent: Agent;
  const undo: (() => Promise<void>)[] = [];

  beforeEach(() => {
    lab = new Lab();
    run('ip', ['-n', lab.one.name, 'addr', 'add', `${OTHER}/24`, 'dev', lab.one.iface]);
    agent = new Agent(lab, lab.one);
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
    await agent.kill();
    lab.close();
  });

  it.each([
    ['BIRD', 'bird', birdConfig('')],
    ['FRR', 'bfdd', 'bfd\n peer 10.201.0.2 interface v1\n exit\nexit\n'],
  ] as const)(
    'cannot have the ports of %s, and is told the name of its process, but speaks the liveness protocol',
    async (name, program, config) => {
      const daemon = name === 'BIRD' ? new Bird(lab, lab.one) : new Frr(lab, lab.one);
      undo.push(() => daemon.close());
      await daemon.startWith(config);
      await expect(agent.call('start', { ...BFD, bindIP: OTHER })).rejects.toMatchObject({
        code: 'EADDRINUSE',
        message: expect.stringMatching(new RegExp(`UDP port 3784 is held by ${program} \\(process \\d+\\)`)) as string,
      });
      await agent.call('start', { ...BFD, protocol: 'liveness', bindIP: OTHER });
    },
  );

  it('binds an address that BIRD with strict binding has no session on, and both come Up with one peer', async () => {
    const bird = new Bird(lab, lab.one);
    undo.push(() => bird.close());
    await bird.startWith(birdConfig('strict bind yes;'));
    const peer = await Agent.start(lab, lab.two, BFD);
    undo.push(() => peer.kill());
    for (const peerIP of [lab.one.address, OTHER]) {
      await peer.call('registerSession', { iface: lab.two.iface, localIP: lab.two.address, peerIP });
    }
    await agent.call('start', { ...BFD, bindIP: OTHER });
    await agent.call('registerSession', { iface: lab.one.iface, localIP: OTHER, peerIP: lab.two.address });
    await until('all four sessions to be Up', async () => {
      const states = [...(await agent.sessions()), ...bird.sessions(), ...(await peer.sessions())].map(({ state }) => state);
      return states.length === 4 && states.every((state) => state === 'up');
    });
  });
});

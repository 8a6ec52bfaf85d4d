import { describe, expect, it } from 'vitest';

import { Simulation } from '../../ts/sim.js';

const TIMERS = { txMin: 100, rxMin: 100, detectMult: 3 };

function pair(options: ConstructorParameters<typeof Simulation>[0] = { delay: 1 }) {
  const world = new Simulation(options);
  const [one, other] = [world.addHost(), world.addHost({ clockPpm: 100 })];
  const sessions = world.connect(one, other, TIMERS);
  world.run(2_000);
  return { world, one, other, sessions };
}

describe('a simulated pair', () => {
  it('comes Up, goes Down on both sides when one direction is cut, and recovers', () => {
    const { world, one, other, sessions } = pair();
    expect(world.states(sessions)).toEqual(['up', 'up']);
    world.cut(one, other);
    const fallen = world.run(2_000).filter((change) => change.from === 'up');
    expect(fallen.map(({ host, to, reason }) => ({ host, to, reason }))).toEqual([
      { host: other, to: 'down', reason: 'timeout' },
      { host: one, to: 'down', reason: 'remote_down' },
    ]);
    world.heal(one, other);
    world.run(5_000);
    expect(world.states(sessions)).toEqual(['up', 'up']);
    expect(world.now).toBe(9_000);
  });

  it('survives a restart, a stall and a session out of service', () => {
    const { world, one, other, sessions } = pair();
    world.restart(one, 500);
    world.run(100);
    expect(world.states(sessions)).toEqual([undefined, 'up']);
    world.run(10_000);
    world.stall(other, 250);
    expect(world.run(5_000).filter((change) => change.host === other)).toEqual([]);
    world.adminDown(sessions, one);
    world.run(1_000);
    expect(world.states(sessions)).toEqual(['admin_down', 'down']);
    world.adminUp(sessions, one);
    world.run(5_000);
    expect(world.states(sessions)).toEqual(['up', 'up']);
  });

  it('repeats the same run with the same seed', () => {
    const run = (seed: number) => {
      const { world, one, other } = pair({ seed, delay: 5, jitter: 20, loss: 0.4 });
      world.setQuality(one, other, { loss: 0.6, duplicate: 0.1, reorder: 0.1 });
      return world.run(60_000);
    };
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  it('with an argument that cannot be simulated is refused, and the error names the field', () => {
    const { world, one, other, sessions } = pair();
    const refused = (message: string) => expect.objectContaining({ code: 'ERR_CONFIG', message }) as Error;
    expect(() => new Simulation({ loss: 1.5 })).toThrow(refused('`loss` is 1.5, and has to be from 0 to 1'));
    expect(() => world.connect(one, one, TIMERS)).toThrow(refused('`other` is the same host'));
    expect(() => world.connect(one, 9, TIMERS)).toThrow(refused('`other` is 9, and there is no such host'));
    expect(() => world.connect(one, other, { ...TIMERS, detectMult: 0 })).toThrow(
      refused('`detectMult` is 0, and has to be from 1 to 255'),
    );
    expect(() => world.run(-1)).toThrow(/^`duration` is -1/);
    expect(() => world.states(sessions + 1)).toThrow(/^`pair` is 2/);
    expect(() => world.addHost({ clockPpm: 9_999 })).toThrow(/clock_ppm/);
  });
});

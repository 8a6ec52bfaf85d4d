import { describe, expect, it } from 'vitest';

import { ConfigError, type ManagerConfig, MemoryRoutes, validateConfig } from '../../ts/index.js';

const valid = (): ManagerConfig => ({ netlinker: new MemoryRoutes(), bindIP: '10.0.0.1', txMin: 100, rxMin: 100, detectMult: 3 });

function issuesOf(config: unknown): readonly { path: string; message: string }[] {
  try {
    validateConfig(config as ManagerConfig);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: 'ERR_CONFIG' });
    return (error as ConfigError).issues;
  }
  throw new Error('the configuration was accepted');
}

describe('a misspelt option', () => {
  it.each([
    [{ txmin: 1 }, 'Unknown option `txmin` (did you mean `txMin`?)'],
    [{ detectMultiplier: 1 }, 'Unknown option `detectMultiplier`; expected'],
    [{ realtime: { prioriti: 1 } }, 'Unknown option `realtime.prioriti` (did you mean `priority`?)'],
    [{ nonsense: 1 }, 'Unknown option `nonsense`; expected an object; its options are netlinker,'],
  ])('%j is refused with the nearest name, if there is one', (changes, message) => {
    expect(issuesOf({ ...valid(), ...changes })[0]?.message).toContain(message);
  });
});

describe('a configuration', () => {
  it('with the required fields only is filled with the defaults of the reference', () => {
    expect(validateConfig(valid())).toMatchObject({
      port: 44880,
      passiveMode: false,
      minTxFloor: 50,
      maxTxCeil: 1_000,
      backoffMax: 1_000,
      maxEvents: 10_240,
      routeTimeout: 5_000,
      engine: 'auto',
      honorPeerAdvertisedPassive: false,
      onClose: { adminDown: false, withdrawRoutes: false },
    });
  });

  it('is copied and frozen, and backoffMax defaults to its maxTxCeil', () => {
    const given = { ...valid(), maxTxCeil: 3_000, port: undefined };
    const filled = validateConfig(given);
    expect(filled).toMatchObject({ backoffMax: 3_000, port: 44880 });
    expect(Object.isFrozen(filled) && Object.isFrozen(filled.onClose)).toBe(true);
    expect(given).not.toHaveProperty('backoffMax');
  });

  it('with several faults is refused with all of them, each with its field', () => {
    const issues = issuesOf({ bindIP: 'localhost', txMin: '100', rxMin: 100, detectMult: 0, port: 70_000, onClose: { adminDown: 1 } });
    expect(issues.map((issue) => issue.path)).toEqual(['netlinker', 'bindIP', 'txMin', 'detectMult', 'port', 'onClose.adminDown']);
    const messages = issues.map((issue) => issue.message);
    expect(messages).toContain('Expected `detectMult` to be an integer from 1 to 255, got `0` (number)');
    expect(messages).toContain('Expected `netlinker` to be given: it has no default');
  });

  it('with an interval outside the bounds is refused, not clamped, and the error names both bounds', () => {
    const [issue] = issuesOf({ ...valid(), txMin: 0.3 });
    expect(issue?.message).toBe('Expected `txMin` to be from minTxFloor (50 ms) to maxTxCeil (1000 ms), got 0.3 ms');
    expect(issuesOf({ ...valid(), rxMin: 5_000 })).toMatchObject([{ path: 'rxMin' }]);
    expect(validateConfig({ ...valid(), minTxFloor: 3, txMin: 3.3 }).txMin).toBe(3.3);
  });

  it('with contradictory bounds is refused', () => {
    expect(issuesOf({ ...valid(), minTxFloor: 2_000 })).toMatchObject([{ path: 'minTxFloor' }]);
    expect(issuesOf({ ...valid(), backoffMax: 10 })).toMatchObject([{ path: 'backoffMax' }]);
  });

  it.each([
    ['an unknown option', { prot: 1 }, 'prot'],
    ['a fraction for a number of events', { maxEvents: 2.5 }, 'maxEvents'],
    ['not a number', { txMin: Number.NaN }, 'txMin'],
    ['an infinite backoff', { backoffMax: Number.POSITIVE_INFINITY }, 'backoffMax'],
    ['a backend without its methods', { netlinker: { routeAdd: () => undefined } }, 'netlinker'],
    ['a logger without its methods', { logger: { child: () => console } }, 'logger'],
    ['a version that is none', { clientVersion: 'latest' }, 'clientVersion'],
    ['an engine of another name', { engine: 'wasm' }, 'engine'],
    ['a priority beyond the range', { realtime: { priority: 100 } }, 'realtime.priority'],
    ['a TTL that no packet has', { minTtl: 0 }, 'minTtl'],
    ['a TTL beyond a byte', { minTtl: 256 }, 'minTtl'],
    ['no address', { bindIP: [] }, 'bindIP'],
    ['an address that is none among others', { bindIP: ['10.0.0.1', 'localhost'] }, 'bindIP'],
    ['two addresses of one family', { bindIP: ['10.0.0.1', '10.0.0.2'] }, 'bindIP'],
    ['three addresses', { bindIP: ['10.0.0.1', '::', '::1'] }, 'bindIP'],
    ['an address with a zone', { bindIP: 'fe80::1%eth0' }, 'bindIP'],
    ['a link-local address', { bindIP: 'FE80::1' }, 'bindIP'],
    ['an IPv6 address that stands for an IPv4 address', { bindIP: '::ffff:10.0.0.1' }, 'bindIP'],
    ['a protocol of another name', { protocol: 'tcp' }, 'protocol'],
    ['a port that is none', { protocol: 'bfd', multihopPort: 65_536 }, 'multihopPort'],
    ['a choice that is none', { protocol: 'bfd', onPeerAdminDown: 'ignore' }, 'onPeerAdminDown'],
  ])('with %s is refused, and the issue names the field', (_, changes, path) => {
    expect(issuesOf({ ...valid(), ...changes })).toMatchObject([{ path }]);
  });

  it('may name one address of each family, and gets them in canonical form', () => {
    expect(validateConfig({ ...valid(), bindIP: '2001:DB8:0::1' }).bindIP).toBe('2001:db8::1');
    const bindIP = ['0:0::0', '10.0.0.1'];
    const filled = validateConfig({ ...valid(), bindIP });
    expect(filled.bindIP).toEqual(['::', '10.0.0.1']);
    expect(Object.isFrozen(filled.bindIP)).toBe(true);
    expect(bindIP[0], 'the argument is as it was').toBe('0:0::0');
  });

  it('of BFD has the ports of RFC 5881 and RFC 5883, and no field of the liveness protocol', () => {
    const filled = validateConfig({ ...valid(), protocol: 'bfd' });
    expect(filled).toMatchObject({ port: 3784, multihopPort: 4784, onPeerAdminDown: 'withdraw', honorPeerAdvertisedPassive: false });
    expect(filled.backoffMax).toBeUndefined();
    const liveness = validateConfig(valid());
    expect([liveness.protocol, liveness.multihopPort, liveness.onPeerAdminDown]).toEqual(['liveness', undefined, undefined]);
    expect(validateConfig({ ...valid(), protocol: 'bfd', port: 0, multihopPort: 0 })).toMatchObject({ port: 0, multihopPort: 0 });
  });

  it.each([
    ['bfd', { clientVersion: '1.2.3' }, /`clientVersion` has no meaning in BFD: its packets carry no version/],
    ['bfd', { honorPeerAdvertisedPassive: true }, /`honorPeerAdvertisedPassive` has no meaning in BFD/],
    ['bfd', { requireDiscriminator: true }, /`requireDiscriminator` has no meaning in BFD.*use `auth`/],
    ['bfd', { backoffMax: 2_000 }, /`backoffMax` has no meaning in BFD: .* once a second \(RFC 5880 §6.8.3\)/],
    ['liveness', { multihopPort: 4_784 }, /`multihopPort` has a meaning in BFD alone: set `protocol` to `bfd`/],
    ['liveness', { onPeerAdminDown: 'withdraw' }, /`onPeerAdminDown` has a meaning in BFD alone/],
    [undefined, { onPeerAdminDown: 'keep' }, /`onPeerAdminDown` has a meaning in BFD alone/],
  ] as const)('of the protocol %s with %j is refused with the reason', (protocol, changes, message) => {
    expect(issuesOf({ ...valid(), protocol, ...changes })).toEqual([
      { path: Object.keys(changes)[0], message: expect.stringMatching(message) as string },
    ]);
  });

  it('that is filled is accepted again, and stays as it is', () => {
    for (const protocol of ['liveness', 'bfd'] as const) {
      const filled = validateConfig({ ...valid(), protocol, bindIP: ['::', '0.0.0.0'] });
      expect(validateConfig(filled as ManagerConfig)).toEqual(filled);
    }
  });

  it.each([undefined, null, 7, 'config', []])('that is %s instead of an object is refused', (nonsense) => {
    expect(issuesOf(nonsense).length).toBeGreaterThan(0);
  });
});

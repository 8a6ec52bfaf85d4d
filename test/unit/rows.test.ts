/** What goes to the addon and comes from it in rows of numbers. */
import { describe, expect, it } from 'vitest';

import { packAddress } from '../../ts/base/address.js';
import type { ArmedRoute, SessionSpec } from '../../ts/engine/engine.js';
import { routeRows, sessionRows, snapshotsOf } from '../../ts/engine/native/rows.js';

const FULL = [
  7,
  3,
  0xfedcba98,
  0xffffffff,
  4,
  1,
  2,
  3,
  4,
  5,
  6,
  2 ** 50 + 1,
  150_000,
  50_000,
  1,
  0x0102_03ff,
  3,
  50_000,
  60_000,
  1,
  7,
  1,
  200,
  3,
  151,
];

describe('the rows of the addon', () => {
  it('have all fields of a session, exact to the microsecond', () => {
    const [seen] = snapshotsOf(new Float64Array(FULL));
    expect(seen).toMatchObject({
      id: 7,
      state: 'up',
      localDiscr: 0xfedcba98,
      peerDiscr: 0xffffffff,
      lastDownReason: 'remote_down',
      convUpStartUs: 1,
      convDownStartUs: 2,
      upSinceUs: 3,
      downSinceUs: 4,
      detectDeadlineUs: 5,
      nextDetectScheduledUs: 6,
      lastUpdatedUs: 2 ** 50 + 1,
      detectTimeUs: 150_000,
      txIntervalUs: 50_000,
      peerPassive: true,
      peerVersion: [1, 2, 3, 255],
      remoteDetectMult: 3,
      remoteTxMinUs: 50_000,
      remoteRxMinUs: 60_000,
      localDiag: 1,
      remoteDiag: 7,
      polling: true,
      authKeyId: 200,
      flaps: 3,
      worstGapMs: 151,
    });
  });

  it('have NaN for a time that has not come, and 0 for a peer without a version', () => {
    const nothing = [8, 0, 1, 0, 0, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0, ...Array<number>(7).fill(NaN), 0, NaN];
    const [, seen] = snapshotsOf(new Float64Array([...FULL, ...nothing]));
    expect(seen).toMatchObject({ id: 8, state: 'admin_down', lastDownReason: 'none', peerPassive: false });
    expect([seen?.convUpStartUs, seen?.detectDeadlineUs, seen?.lastUpdatedUs, seen?.peerVersion]).toEqual(Array(4).fill(undefined));
    expect([seen?.remoteDetectMult, seen?.localDiag, seen?.polling, seen?.authKeyId, seen?.worstGapMs]).toEqual(Array(5).fill(undefined));
  });

  it('have one row per session', () => {
    expect(snapshotsOf(new Float64Array([...FULL, ...FULL]))).toHaveLength(2);
    expect(snapshotsOf(new Float64Array())).toEqual([]);
  });
});

/** An IPv4 address as the IPv6 address that stands for it. */
const mapped = (...octets: [number, number, number, number]): number[] => [0, 0, 0xffff, Buffer.from(octets).readUInt32BE()];

describe('the row of a session', () => {
  const spec: SessionSpec = {
    id: 7,
    iface: 'eth0',
    localIP: '10.0.0.1',
    peerIP: '203.0.113.9',
    peerPort: 3784,
    txMinUs: 50_000,
    rxMinUs: 60_000,
    detectMult: 3,
  };

  it('has both addresses, the port, the timers and the interface by its position', () => {
    const { rows, interfaces, auths } = sessionRows([spec, { ...spec, id: 8, iface: 'eth1' }, { ...spec, id: 9 }]);
    const local = [...mapped(10, 0, 0, 1), ...mapped(203, 0, 113, 9)];
    expect([...rows.slice(0, 17)]).toEqual([7, 0, ...local, 3784, 50_000, 60_000, 3, 0, 0, 0]);
    expect([rows[17], rows[18], rows[34], rows[35]]).toEqual([8, 1, 9, 0]);
    expect([interfaces, auths]).toEqual([['eth0', 'eth1'], []]);
  });

  it('has the words of IPv6 addresses', () => {
    const { rows } = sessionRows([{ ...spec, localIP: '2001:db8::1', peerIP: 'fe80::2:0:0:ffff' }]);
    expect([...rows.slice(2, 10)]).toEqual([0x2001_0db8, 0, 0, 1, 0xfe80_0000, 0, 0x2_0000, 0xffff]);
  });

  it('has the options of BFD, and the keys by the position after theirs', () => {
    const auth = { type: 'sha1', keys: [] } as const;
    const { rows, auths } = sessionRows([
      { ...spec, multihop: true, minTtl: 250, bfd: { passive: true, auth } },
      { ...spec, bfd: { passive: false, auth: undefined } },
      { ...spec, multihop: true, bfd: { passive: false, auth } },
      { ...spec, bfd: { passive: true, auth: undefined } },
    ]);
    expect([0, 1, 2, 3].map((row) => [...rows.slice(row * 17 + 14, row * 17 + 17)])).toEqual([
      [3, 250, 1],
      [0, 0, 0],
      [1, 0, 2],
      [2, 0, 0],
    ]);
    expect(auths).toEqual([auth, auth]);
  });
});

describe('the row of an armed route', () => {
  const armed = (changes: Partial<ArmedRoute> = {}, addresses = ['10.9.0.0', '10.0.0.1', '10.0.0.2']): ArmedRoute => {
    const [destination = 0, source = 0, nextHop = 0] = addresses.map(packAddress);
    const route = { table: 254, destination, prefixLength: 24, source, nextHop, protocol: 186, priority: 5 };
    const flags = { noUninstall: false, adminDown: false, keepOnPeerAdminDown: false };
    return { id: 1, sessionId: 2, generation: 3, route, ...flags, holdUpMs: 0, damping: undefined, ...changes };
  };

  it('has all fields of the route, of either family', () => {
    const addresses = [mapped(10, 9, 0, 0), mapped(10, 0, 0, 1), mapped(10, 0, 0, 2)];
    const [destination = [], ...others] = addresses;
    const none = [0, 0, 0, 0, 0, 0];
    const expected = [1, 2, 3, 254, ...destination, 24, ...others.flat(), 186, 5, 0, 0, 0, 0, 0, 0, 0, ...none];
    expect([...routeRows([armed()], false).rows]).toEqual(expected);
    const { rows: ipv6 } = routeRows([armed({}, ['2001:db8::', '2001:db8::1', 'fe80::2'])], false);
    expect([...ipv6.slice(4, 8), ...ipv6.slice(9, 17)]).toEqual([0x2001_0db8, 0, 0, 0, 0x2001_0db8, 0, 0, 1, 0xfe80_0000, 0, 0, 2]);
  });

  it.each([
    [{ noUninstall: true }, false, 1],
    [{ adminDown: true }, false, 2],
    [{}, true, 4],
    [{ keepOnPeerAdminDown: true }, false, 8],
    [{ noUninstall: true, adminDown: true, keepOnPeerAdminDown: true }, true, 15],
  ])('with %j, adopted %s, has the flags %i', (changes, adopted, flags) => {
    expect(routeRows([armed(changes)], adopted).rows[19]).toBe(flags);
  });

  it('says how long its session has to stay Up, and how its Downs are damped; a penalty of 0 is no damping', () => {
    const damping = { penalty: 1, suppressAbove: 3, reuseBelow: 2, halfLifeMs: 5, maxSuppressMs: 3_600_000 };
    const { rows } = routeRows([armed({ holdUpMs: 600_000, damping }), armed({ holdUpMs: 7 })], false);
    expect([...rows.slice(20, 26)]).toEqual([600_000, 1, 3, 2, 5, 3_600_000]);
    expect([...rows.slice(52, 58)]).toEqual([7, 0, 0, 0, 0, 0]);
  });

  it('names the interface of its backup by the position after it, with next hop and session', () => {
    const backup = (iface: string, sessionId?: number) => ({ iface, nextHop: packAddress('10.0.1.2'), sessionId });
    const routes = [armed(), armed({ backup: backup('eth1', 7) }), armed({ backup: backup('eth2') }), armed({ backup: backup('eth1') })];
    const { rows, interfaces } = routeRows(routes, false);
    const columns = routes.map((_, index) => [...rows.slice(index * 32 + 26, index * 32 + 32)]);
    const hop = mapped(10, 0, 1, 2);
    expect(columns).toEqual([
      [0, 0, 0, 0, 0, 0],
      [1, ...hop, 7],
      [2, ...hop, 0],
      [1, ...hop, 0],
    ]);
    expect(interfaces).toEqual(['eth1', 'eth2']);
  });
});

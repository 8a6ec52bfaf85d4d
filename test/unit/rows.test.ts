/** What comes from the addon in rows of numbers. */
import { describe, expect, it } from 'vitest';

import { snapshotsOf } from '../../ts/engine/native/rows.js';

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
    });
  });

  it('have NaN for a time that has not come, and 0 for a peer without a version', () => {
    const nothing = [8, 0, 1, 0, 0, NaN, NaN, NaN, NaN, NaN, NaN, NaN, 0, 0, 0, 0, ...Array<number>(7).fill(NaN)];
    const [, seen] = snapshotsOf(new Float64Array([...FULL, ...nothing]));
    expect(seen).toMatchObject({ id: 8, state: 'admin_down', lastDownReason: 'none', peerPassive: false });
    expect([seen?.convUpStartUs, seen?.detectDeadlineUs, seen?.lastUpdatedUs, seen?.peerVersion]).toEqual(Array(4).fill(undefined));
    expect([seen?.remoteDetectMult, seen?.localDiag, seen?.polling, seen?.authKeyId]).toEqual(Array(4).fill(undefined));
  });

  it('have one row per session', () => {
    expect(snapshotsOf(new Float64Array([...FULL, ...FULL]))).toHaveLength(2);
    expect(snapshotsOf(new Float64Array())).toEqual([]);
  });
});

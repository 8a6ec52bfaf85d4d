/** What users see of a BFD session: in snapshots, events and the log. */
import { describe, expect, it } from 'vitest';

import { Diagnostic, type Transition } from '../../ts/index.js';
import { diagnosticFromWire, diagnosticToWire } from '../../ts/protocol/bfd/diagnostic.js';
import { settle, startFake } from './fake-engine.js';
import { newLog } from './fake-udp.js';

const PEER = { iface: 'eth0', localIP: '10.0.0.1', peerIP: '10.9.0.2' };

describe('the snapshot of a session', () => {
  it('of BFD has what the peer asks for, the diagnostics, the Poll and the number of the key', async () => {
    const { manager, engine } = await startFake({ protocol: 'bfd' });
    await manager.registerSession(PEER, { multihop: true });
    engine.reading = {
      remoteDetectMult: 5,
      remoteTxMinUs: 300_000,
      remoteRxMinUs: 0,
      localDiag: 1,
      remoteDiag: 7,
      polling: true,
      authKeyId: 0,
    };
    expect(manager.getSession(PEER)).toMatchObject({
      remoteDetectMult: 5,
      remoteTxMin: 300,
      remoteRxMin: 0,
      localDiag: 'detection_time_expired',
      remoteDiag: 'administratively_down',
      polling: true,
      authKeyId: 0,
      multihop: true,
    });
    engine.reading = { localDiag: 0, remoteDiag: 31, polling: false, remoteTxMinUs: 3_300 };
    expect(manager.getSessions()).toMatchObject([{ localDiag: 'none', remoteDiag: 'unknown(31)', polling: false, remoteTxMin: 3.3 }]);
  });

  it('of the liveness protocol has nothing of BFD', async () => {
    const { manager, engine } = await startFake();
    await manager.registerSession(PEER);
    const nothing = { localDiag: undefined, remoteDiag: undefined, polling: undefined, authKeyId: undefined, multihop: false };
    expect(manager.getSession(PEER)).toMatchObject({
      ...nothing,
      remoteDetectMult: undefined,
      remoteTxMin: undefined,
      remoteRxMin: undefined,
    });
    engine.reading = { remoteDetectMult: 3, remoteTxMinUs: 50_000, remoteRxMinUs: 60_000 };
    expect(manager.getSession(PEER)).toMatchObject({ ...nothing, remoteDetectMult: 3, remoteTxMin: 50, remoteRxMin: 60 });
  });
});

describe('a Down', () => {
  const down = { reason: 'remote_down', cause: 'handle_rx', localDiag: 3, remoteDiag: 1 } as const;

  it('of BFD says its diagnostics in the event, in the stream and in the log', async () => {
    const log = newLog();
    const { manager, engine } = await startFake({ protocol: 'bfd', logger: log.logger });
    const transitions: Transition[] = [];
    manager.on('transition', (transition) => transitions.push(transition));
    const stream = manager.transitions();
    await manager.registerSession(PEER);
    engine.become('10.9.0.2', 'down', down);
    await settle();
    const said = { localDiag: 'neighbour_signalled_down', remoteDiag: 'detection_time_expired' };
    expect(transitions).toMatchObject([{ to: 'down', ...said }]);
    expect((await stream.next()).value).toMatchObject(said);
    expect(log.of('warn')).toMatchObject([
      {
        fields: said,
        message:
          'session went from down to down (remote_down, diagnostic sent: neighbour_signalled_down, received: detection_time_expired)',
      },
    ]);
  });

  it('of BFD before the peer was heard says only what we send', async () => {
    const log = newLog();
    const { manager, engine } = await startFake({ protocol: 'bfd', logger: log.logger });
    await manager.registerSession(PEER);
    engine.become('10.9.0.2', 'down', { localDiag: 1 });
    await settle();
    expect(log.of('warn')[0]?.message).toBe('session went from down to down (timeout, diagnostic sent: detection_time_expired)');
  });

  it('of the liveness protocol says nothing of diagnostics', async () => {
    const log = newLog();
    const { manager, engine } = await startFake({ logger: log.logger });
    const transitions: Transition[] = [];
    manager.on('transition', (transition) => transitions.push(transition));
    await manager.registerSession(PEER);
    engine.become('10.9.0.2', 'down');
    await settle();
    expect(Object.keys(transitions[0] ?? {}).filter((name) => name.endsWith('Diag'))).toEqual([]);
    expect(log.of('warn')[0]?.message).toBe('session went from down to down (timeout)');
    expect(log.of('warn')[0]?.fields).not.toHaveProperty('localDiag');
  });
});

it('the diagnostics have the numbers of RFC 5880 §4.1, and reserved numbers are unknown', () => {
  expect(Object.values(Diagnostic).map(diagnosticToWire)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect([8, 9, 31].map(diagnosticFromWire)).toEqual(['reverse_concatenated_path_down', 'unknown(9)', 'unknown(31)']);
});

/** The wire format: what decodes, what is refused and by which name, and the way back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  ControlPacket,
  type ControlPacketFields,
  formatClientVersion,
  InvalidLengthError,
  LivenessError,
  parseClientVersion,
  ShortPacketError,
  State,
  stateFromWire,
  stateToWire,
  UnsupportedVersionError,
  type VersionBytes,
} from '../../ts/protocol.js';
import * as entry from '../../ts/index.js';
import { receivable } from '../../ts/protocol/packet.js';

const byte = fc.integer({ min: 0, max: 255 });
const word = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff));
const fields: fc.Arbitrary<ControlPacketFields> = fc.record({
  version: fc.constant(1),
  state: fc.constantFrom(...Object.values(State)),
  detectMult: byte,
  localDiscr: word,
  peerDiscr: word,
  desiredMinTxUs: word,
  requiredMinRxUs: word,
  passive: fc.boolean(),
  clientVersion: fc.tuple(byte, byte, byte, byte),
});
/** Bytes that are often nearly a packet. */
const bytes = fc.tuple(fc.uint8Array({ maxLength: 80 }), fc.boolean(), fc.boolean()).map(([given, hasVersion, hasLength]) => {
  if (hasVersion && given.length > 0) given[0] = 0x20 | ((given[0] ?? 0) & 0x1f);
  if (hasLength && given.length > 3) given[3] = 40;
  return given;
});

const good = (): ControlPacketFields => ({
  version: 1,
  state: 'up',
  detectMult: 3,
  localDiscr: 0x0102_0304,
  peerDiscr: 0x0506_0708,
  desiredMinTxUs: 300_000,
  requiredMinRxUs: 0xfeff_fefe,
});

const REASONS: Record<string, string> = {
  ERR_SHORT_PACKET: 'short',
  ERR_UNSUPPORTED_VERSION: 'bad_version',
  ERR_INVALID_LENGTH: 'bad_len',
};

describe('any bytes', () => {
  it('decode, or are refused as too short, by version, or by length field, in this order', () => {
    fc.assert(
      fc.property(bytes, (given) => {
        const decode = (): ControlPacket => ControlPacket.unmarshal(given);
        if (given.length < 40) expect(decode).toThrow(ShortPacketError);
        else if ((given[0] ?? 0) >> 5 !== 1) expect(decode).toThrow(UnsupportedVersionError);
        else if (given[3] !== 40) expect(decode).toThrow(InvalidLengthError);
        else expect(decode()).toBeInstanceOf(ControlPacket);
      }),
      { numRuns: 2_000 },
    );
  });

  it('that decode encode to the same bytes with reserved bits cleared', () => {
    fc.assert(
      fc.property(fields, fc.uint8Array({ minLength: 40, maxLength: 60 }), (given, noise) => {
        const clean = new ControlPacket(given).marshal();
        const noisy = Uint8Array.from(noise);
        noisy.set(clean);
        noisy[0] = (clean[0] ?? 0) | ((noise[0] ?? 0) & 0x1f);
        noisy[1] = (clean[1] ?? 0) | ((noise[1] ?? 0) & 0x3f);
        noisy[20] = (clean[20] ?? 0) | ((noise[20] ?? 0) & 0xfe);
        noisy.set(noise.subarray(25, 40), 25);
        const packet = ControlPacket.unmarshal(noisy);
        expect(packet).toEqual(new ControlPacket(given));
        expect(packet.marshal()).toEqual(clean);
      }),
    );
  });

  it('are refused by the receive path for the same reasons and for zero fields, without an exception', () => {
    fc.assert(
      fc.property(bytes, (given) => {
        const outcome = receivable(given);
        let expected: unknown;
        try {
          const packet = ControlPacket.unmarshal(given);
          expected = packet.detectMult === 0 ? 'bad_detect_mult' : packet.localDiscr === 0 ? 'bad_discr' : packet;
        } catch (error) {
          expected = REASONS[(error as LivenessError).code];
        }
        expect(outcome).toEqual(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([undefined, null, 'bytes', new Array(40).fill(0x20), new ArrayBuffer(40), {}])('given as %s are refused', (nonsense) => {
    expect(() => ControlPacket.unmarshal(nonsense as Uint8Array)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_PACKET' }));
  });
});

describe('a packet', () => {
  it('has its fields at the offsets of RFC 5880', () => {
    const written = Buffer.from(new ControlPacket({ ...good(), passive: true, clientVersion: [1, 2, 3, 4] }).marshal());
    expect(written.toString('hex')).toBe(
      ['20c00328', '01020304', '05060708', '000493e0', 'fefffefe', '0101020304', '00'.repeat(15)].join(''),
    );
  });

  it('without passive and version has zeros from byte 20 on, as in the reference', () => {
    expect(new ControlPacket(good()).marshal().subarray(20)).toEqual(new Uint8Array(20));
  });

  it('decodes to the fields that were encoded', () => {
    fc.assert(
      fc.property(fields, (given) => {
        const packet = new ControlPacket(given);
        expect(packet).toMatchObject({ ...given, length: 40 });
        const written = packet.marshal();
        expect(written).toHaveLength(40);
        expect(ControlPacket.unmarshal(written)).toEqual(packet);
      }),
    );
  });

  it('is read from a view into a larger buffer at any offset', () => {
    fc.assert(
      fc.property(fields, fc.nat(70), fc.nat(70), (given, before, after) => {
        const larger = Buffer.alloc(before + 40 + after, 0xff);
        larger.set(new ControlPacket(given).marshal(), before);
        expect(ControlPacket.unmarshal(larger.subarray(before, before + 40))).toEqual(new ControlPacket(given));
        if (after > 0) expect(ControlPacket.unmarshal(larger.subarray(before))).toEqual(new ControlPacket(given));
        expect(() => ControlPacket.unmarshal(larger.subarray(before, before + 39))).toThrow(ShortPacketError);
      }),
    );
  });

  it('does not change when its bytes are reused', () => {
    const received = new ControlPacket({ ...good(), clientVersion: [1, 2, 3, 4] }).marshal();
    const packet = ControlPacket.unmarshal(received);
    received.fill(0);
    expect(packet).toMatchObject({ ...good(), clientVersion: [1, 2, 3, 4] });
  });

  it('does not change when the given version array changes', () => {
    const version: [number, number, number, number] = [1, 2, 3, 4];
    const packet = new ControlPacket({ ...good(), clientVersion: version });
    version[0] = 999;
    expect(packet.clientVersion).toEqual([1, 2, 3, 4]);
  });

  it('made by `with` is another packet', () => {
    const packet = new ControlPacket(good());
    expect(packet.with({ state: 'down', peerDiscr: 0 })).toEqual(new ControlPacket({ ...good(), state: 'down', peerDiscr: 0 }));
    expect(packet.state).toBe('up');
    expect(() => packet.with({ detectMult: 256 })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_PACKET' }));
  });

  const wrongByte = [-1, 256, 1.5, Number.NaN, '3', null, undefined];
  const wrongWord = [-1, 2 ** 32, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '3', 3n, null, undefined];
  const wrong: Record<keyof ControlPacketFields, readonly unknown[]> = {
    version: [0, 2, '1', null, undefined, Number.NaN],
    state: ['UP', 3, '', null, undefined, 'unknown(4)', {}],
    detectMult: wrongByte,
    localDiscr: wrongWord,
    peerDiscr: wrongWord,
    desiredMinTxUs: wrongWord,
    requiredMinRxUs: wrongWord,
    passive: [0, 1, 'true', null, {}],
    clientVersion: [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 256], [1, 2, 3, '4'], [1, 2, 3, undefined], '1.2.3', null, {}],
  };
  const cases = Object.entries(wrong).flatMap(([field, values]) => values.map((value) => ({ field, value })));

  it.each(cases)('with $value for $field is refused, and the error names the field', ({ field, value }) => {
    const make = (): ControlPacket => new ControlPacket({ ...good(), [field]: value });
    expect(make).toThrow(LivenessError);
    expect(make).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_PACKET', message: expect.stringContaining(`\`${field}\``) as string }),
    );
  });

  it.each([undefined, null, 7, 'packet'])('cannot be made of %s', (nonsense) => {
    expect(() => new ControlPacket(nonsense as unknown as ControlPacketFields)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_PACKET' }),
    );
  });
});

describe('the packet errors', () => {
  it('are the same classes from both entries', () => {
    expect(entry.ShortPacketError).toBe(ShortPacketError);
    expect(entry.InvalidLengthError).toBe(InvalidLengthError);
    expect(entry.UnsupportedVersionError).toBe(UnsupportedVersionError);
    expect(entry.LivenessError).toBe(LivenessError);
  });

  it('have the received and the expected value in their messages', () => {
    const thrownBy = (given: Uint8Array): unknown => {
      try {
        return ControlPacket.unmarshal(given);
      } catch (error) {
        return error;
      }
    };
    const packet = new ControlPacket(good()).marshal();
    expect(thrownBy(packet.subarray(0, 39))).toMatchObject({
      code: 'ERR_SHORT_PACKET',
      name: 'ShortPacketError',
      message: 'Short packet: 39 bytes, 40 are needed',
    });
    packet[3] = 24;
    expect(thrownBy(packet)).toMatchObject({ code: 'ERR_INVALID_LENGTH', message: 'Invalid length field 24, expected 40' });
    packet[0] = 0xe0;
    expect(thrownBy(packet), 'the version comes before the length').toMatchObject({
      code: 'ERR_UNSUPPORTED_VERSION',
      message: 'Unsupported version 7, expected 1',
    });
    for (const nothing of [new Uint8Array(), new Uint8Array(39).fill(0xff)])
      expect(thrownBy(nothing)).toMatchObject({ code: 'ERR_SHORT_PACKET' });
  });
});

describe('a state on the wire', () => {
  it('is one of four numbers, and any other is unknown', () => {
    expect(Object.values(State).map(stateToWire)).toEqual([0, 1, 2, 3]);
    expect([0, 1, 2, 3].map(stateFromWire)).toEqual(['admin_down', 'down', 'init', 'up']);
    expect([4, 255, -1].map(stateFromWire)).toEqual(['unknown(4)', 'unknown(255)', 'unknown(-1)']);
  });
});

describe('a client version', () => {
  it.each<[string, VersionBytes, string]>([
    ['1.2.3', [1, 2, 3, 0], '1.2.3'],
    ['v1.2.3', [1, 2, 3, 0], '1.2.3'],
    ['0.0.0', [0, 0, 0, 0], '0.0.0'],
    ['255.255.255', [255, 255, 255, 0], '255.255.255'],
    ['1.2.3-alpha', [1, 2, 3, 1], '1.2.3-alpha'],
    ['1.2.3-alpha.7', [1, 2, 3, 1], '1.2.3-alpha'],
    ['1.2.3-beta2', [1, 2, 3, 2], '1.2.3-beta'],
    ['1.2.3-rc.1', [1, 2, 3, 3], '1.2.3-rc'],
    ['1.2.3-RC1', [1, 2, 3, 3], '1.2.3-rc'],
    ['1.2.3-dev', [1, 2, 3, 4], '1.2.3-dev'],
    ['1.2.3~dev', [1, 2, 3, 4], '1.2.3-dev'],
    ['0.8.1~git2025', [0, 8, 1, 4], '0.8.1-dev'],
    ['0.8.1~git20240101.abcdef', [0, 8, 1, 4], '0.8.1-dev'],
    ['1.2.3-rc1', [1, 2, 3, 3], '1.2.3-rc'],
    ['1.2.3~rc1-1', [1, 2, 3, 3], '1.2.3-rc'],
    ['1.2.3+git.abc', [1, 2, 3, 4], '1.2.3-dev'],
    ['1.2.3+dev', [1, 2, 3, 4], '1.2.3-dev'],
    ['v1.2.3-4-gabcdef0', [1, 2, 3, 4], '1.2.3-dev'],
    ['1.2.3-4-gabcdef0-dirty', [1, 2, 3, 4], '1.2.3-dev'],
    ['1.2.3-SNAPSHOT', [1, 2, 3, 4], '1.2.3-dev'],
    ['1.2.3+deb12u1', [1, 2, 3, 0], '1.2.3'],
    ['1.2.3-nightly', [1, 2, 3, 5], '1.2.3-other'],
    ['1.2.3-7', [1, 2, 3, 5], '1.2.3-other'],
    ['1.2.3-stable', [1, 2, 3, 5], '1.2.3-other'],
    ['1.2.3+build.5', [1, 2, 3, 0], '1.2.3'],
    ['1.2.3-rc.1+build-dev', [1, 2, 3, 3], '1.2.3-rc'],
  ])('%s is %j and formatted as %s', (text, expected, shown) => {
    expect(parseClientVersion(text)).toEqual(expected);
    expect(formatClientVersion(expected)).toBe(shown);
  });

  it.each([
    '',
    '1',
    '1.2',
    '1.2.3.4',
    '256.0.0',
    '0.256.0',
    '0.0.256',
    '1.2.x',
    ' 1.2.3',
    '1.2.3 ',
    '1.2.3\n',
    '1.2.3-',
    '-1.2.3',
    '1..3',
    'latest',
    'vv1.2.3',
    '0001.2.3',
  ])('%j is refused', (text) => {
    expect(parseClientVersion(text)).toBeUndefined();
  });

  it.each([undefined, null, 7, {}])('%s is refused', (nonsense) => {
    expect(parseClientVersion(nonsense as string)).toBeUndefined();
  });

  it('of any four bytes can be formatted, and parsing the text gives the same bytes', () => {
    fc.assert(
      fc.property(byte, byte, byte, byte, (major, minor, patch, channel) => {
        expect(parseClientVersion(formatClientVersion([major, minor, patch, channel]))).toEqual([
          major,
          minor,
          patch,
          Math.min(channel, 5),
        ]);
      }),
    );
  });

  it('parsing never throws, for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,3}\.\d{1,3}\.\d{1,3}([-~+].{0,8})?$/)), (text) => {
        const version = parseClientVersion(text);
        if (version !== undefined) expect(parseClientVersion(formatClientVersion(version))).toEqual(version);
      }),
    );
  });
});

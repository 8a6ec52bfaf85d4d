import { inspect } from 'node:util';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { BfdPacket, type BfdPacketFields, Diagnostic, diagnosticFromWire, diagnosticToWire, type State } from '../../ts/protocol.js';
import { decodeBfd } from '../../ts/protocol/bfd/packet.js';

const FIELDS: BfdPacketFields = {
  state: 'init',
  diagnostic: 'neighbour_signalled_down',
  poll: true,
  detectMult: 3,
  localDiscr: 0x0102_0304,
  peerDiscr: 0x0506_0708,
  desiredMinTxUs: 50_000,
  requiredMinRxUs: 60_000,
};
const BYTES = '23a00318010203040506070800 00c3500000ea6000000000'.replace(' ', '');

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const good = (): Uint8Array => new BfdPacket(FIELDS).marshal();

function changed(at: number, ...values: number[]): Uint8Array {
  const bytes = good();
  bytes.set(values, at);
  return bytes;
}

/** A packet with the A bit, and so many bytes with this length field. */
function authenticated(length: number, bytes = 60): Uint8Array {
  const packet = new Uint8Array(bytes);
  packet.set(good());
  packet[1] = (packet[1] ?? 0) | 0b100;
  packet[3] = length;
  return packet;
}

describe('a BFD packet', () => {
  it('is laid out as RFC 5880 §4.1 says', () => {
    expect(hex(new BfdPacket(FIELDS).marshal())).toBe(BYTES);
    const flags = { poll: false, final: true, demand: true, independent: true };
    expect(new BfdPacket({ ...FIELDS, ...flags, requiredMinEchoRxUs: 7 }).marshal().subarray(20)).toEqual(new Uint8Array([0, 0, 0, 7]));
    expect(new BfdPacket({ ...FIELDS, ...flags }).marshal()[1]).toBe(0b1001_1010);
  });

  it('comes back from its bytes with every field', () => {
    expect(BfdPacket.unmarshal(Buffer.from(BYTES, 'hex'))).toMatchObject({
      ...FIELDS,
      version: 1,
      length: 24,
      final: false,
      demand: false,
    });
  });

  it('ignores bytes beyond its length field, which are padding (RFC 9764)', () => {
    const padded = new Uint8Array(84).fill(0xbb);
    padded.set(good());
    expect(hex(BfdPacket.unmarshal(padded).marshal())).toBe(BYTES);
  });

  it.each([
    ['short', new Uint8Array(0), 'ERR_SHORT_PACKET', /0 bytes, 24 are needed/],
    ['short', good().subarray(0, 23), 'ERR_SHORT_PACKET', /23 bytes/],
    ['bad_version', changed(0, 0), 'ERR_UNSUPPORTED_VERSION', /version 0/],
    ['bad_version', changed(0, 0x40), 'ERR_UNSUPPORTED_VERSION', /version 2/],
    ['bad_len', changed(3, 23), 'ERR_INVALID_LENGTH', /length field 23/],
    ['truncated', changed(3, 25), 'ERR_INVALID_LENGTH', /length field 25, expected at most the 24 bytes/],
    ['bad_detect_mult', changed(2, 0), 'ERR_INVALID_PACKET', /multiplier is 0/],
    ['multipoint', changed(1, 0xa1), 'ERR_INVALID_PACKET', /Multipoint/],
    ['bad_discr', changed(4, 0, 0, 0, 0), 'ERR_INVALID_PACKET', /sender's discriminator is 0/],
    ['zero_peer_discr', changed(8, 0, 0, 0, 0), 'ERR_INVALID_PACKET', /receiver's discriminator is 0/],
    ['poll_and_final', changed(1, 0xb0), 'ERR_INVALID_PACKET', /Poll and Final/],
    ['bad_len', authenticated(25), 'ERR_INVALID_LENGTH', /26 with an authentication section/],
    ['bad_auth', authenticated(53), 'ERR_INVALID_PACKET', /longer than 28 bytes/],
    ['truncated', authenticated(61), 'ERR_INVALID_LENGTH', /60 bytes/],
  ])('is dropped as %s, and refused by unmarshal with a message that says why (case %#)', (reason, bytes, code, message) => {
    expect(decodeBfd(bytes)).toBe(reason);
    expect(() => BfdPacket.unmarshal(bytes)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }));
  });

  it('may name nobody in Down and AdminDown only', () => {
    for (const [state, isAllowed] of [
      ['admin_down', true],
      ['down', true],
      ['init', false],
      ['up', false],
    ] as const) {
      const make = (): BfdPacket => new BfdPacket({ ...FIELDS, state, peerDiscr: 0 });
      if (isAllowed) expect(BfdPacket.unmarshal(make().marshal()).state).toBe(state);
      else expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_PACKET' }));
    }
  });

  it.each<[string, Partial<Record<keyof BfdPacketFields, unknown>>]>([
    ['state', { state: 'gone' }],
    ['diagnostic', { diagnostic: 'unknown(3)' }],
    ['poll', { poll: 1 }],
    ['final', { final: true }],
    ['detectMult', { detectMult: 0 }],
    ['localDiscr', { localDiscr: 0 }],
    ['peerDiscr', { peerDiscr: -1 }],
    ['desiredMinTxUs', { desiredMinTxUs: 2 ** 32 }],
    ['requiredMinRxUs', { requiredMinRxUs: 0.5 }],
    ['requiredMinEchoRxUs', { requiredMinEchoRxUs: '0' }],
    ['authentication', { authentication: new Uint8Array(29) }],
  ])('cannot be made with a wrong %s', (name, changes) => {
    const make = (): BfdPacket => new BfdPacket({ ...FIELDS, ...changes } as BfdPacketFields);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_PACKET', message: expect.stringContaining(name) as string }));
  });

  it('keeps its authentication section, and shows it in no text', () => {
    const section = new Uint8Array([1, 9, 7, ...Buffer.from('sesame')]);
    const packet = BfdPacket.unmarshal(new BfdPacket({ ...FIELDS, authentication: section }).marshal());
    expect([packet.length, packet.isAuthenticated, packet.authentication]).toEqual([33, true, section]);
    expect(new BfdPacket(FIELDS).authentication).toBeUndefined();
    for (const text of [inspect(packet, { depth: 9, showHidden: true }), JSON.stringify(packet)]) {
      expect(text).not.toMatch(/sesame|115, ?101|73 ?65/);
    }
    const tooLong = new Uint8Array(Buffer.from('sesame'.repeat(6)));
    expect(() => new BfdPacket({ ...FIELDS, authentication: tooLong })).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/sesame|115/) as string }),
    );
  });

  it('is every byte string that is not dropped, without a change to the bytes up to its length', () => {
    const anyBytes = fc.uint8Array({ maxLength: 100 });
    // Nearly valid, so that most get beyond the first checks.
    const nearly = fc
      .record({ bytes: fc.uint8Array({ minLength: 24, maxLength: 60 }), length: fc.integer({ min: 20, max: 60 }), flags: fc.nat(255) })
      .map(({ bytes, length, flags }) => {
        bytes.set([0x20 | ((bytes[0] ?? 0) & 0x1f), flags & 0xfe]);
        bytes[3] = length;
        return bytes;
      });
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 1, arbitrary: anyBytes }, { weight: 4, arbitrary: nearly }), (bytes) => {
        const packet = decodeBfd(bytes);
        if (typeof packet === 'string') {
          expect(() => BfdPacket.unmarshal(bytes)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string }));
          return;
        }
        accepted += 1;
        // Without the A bit, what is between 24 bytes and the length field is no section.
        expect(packet.length).toBe(packet.isAuthenticated ? bytes[3] : 24);
        const again = packet.marshal();
        const expected = bytes.slice(0, packet.length);
        expected[3] = packet.length;
        expect(hex(again)).toBe(hex(expected));
        expect(BfdPacket.unmarshal(again)).toEqual(packet);
      }),
      { numRuns: 5_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  it('comes back from its bytes, whatever its fields are', () => {
    const word = fc.nat(0xffff_ffff);
    const drawn = fc.record({
      state: fc.constantFrom<State>('admin_down', 'down', 'init', 'up'),
      diagnostic: fc.nat(31).map(diagnosticFromWire),
      flag: fc.constantFrom({}, { poll: true }, { final: true }),
      demand: fc.boolean(),
      independent: fc.boolean(),
      detectMult: fc.integer({ min: 1, max: 255 }),
      localDiscr: fc.integer({ min: 1, max: 0xffff_ffff }),
      peerDiscr: fc.integer({ min: 1, max: 0xffff_ffff }),
      desiredMinTxUs: word,
      requiredMinRxUs: word,
      requiredMinEchoRxUs: word,
      authentication: fc.option(fc.uint8Array({ minLength: 2, maxLength: 28 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(drawn, ({ flag, ...fields }) => {
        const packet = new BfdPacket({ ...fields, ...flag });
        const read = BfdPacket.unmarshal(packet.marshal());
        expect(read).toEqual(packet);
        expect(read.authentication).toEqual(fields.authentication);
      }),
    );
  });
});

describe('a diagnostic', () => {
  it('has the number that RFC 5880 §4.1 gives it, and reserved numbers are unknown', () => {
    expect(Object.values(Diagnostic).map(diagnosticToWire)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(diagnosticFromWire(7)).toBe('administratively_down');
    expect([diagnosticFromWire(9), diagnosticFromWire(31)]).toEqual(['unknown(9)', 'unknown(31)']);
    expect(diagnosticToWire('unknown(31)')).toBe(31);
  });

  it('is no other text', () => {
    for (const wrong of ['unknown(8)', 'unknown(32)', 'unknown(09)x', 'reserved', 3, undefined]) {
      expect(() => diagnosticToWire(wrong as Diagnostic)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    }
  });
});

/** Bytes <-> `BfdPacket`: the control packet of RFC 5880 §4.1. */
import { expected, LivenessError } from '../../base/errors.js';
import { byteAt, putWord, wordAt } from '../bytes.js';
import { HEADER_FIELD, STATE_SHIFT, VERSION_SHIFT } from '../header-fields.js';
import { type InvalidReason, InvalidLengthError, ShortPacketError, UnsupportedVersionError } from '../packet.js';
import { isState, type State, stateFromWire, stateToWire } from '../state.js';
import { diagnosticFromWire, diagnosticToWire, isWireDiagnostic, type WireDiagnostic } from './diagnostic.js';

/** Length of a packet without an authentication section, in bytes. */
export const BFD_PACKET_LENGTH = 24;

/** Length of the longest authentication section, that of SHA-1 (RFC 5880 §4.4), in bytes. */
const LONGEST_SECTION = 28;

/** Type and length of an authentication section (RFC 5880 §4.1). */
const SHORTEST_SECTION = 2;

/** The protocol version of RFC 5880. */
export const BFD_VERSION = 1;

/** The offset of each field in bytes. */
const BFD_FIELD = Object.freeze({
  ...HEADER_FIELD,
  requiredMinEchoRx: 20,
});

const DIAGNOSTIC_MASK = 0x1f;
const FLAG = Object.freeze({
  poll: 0b10_0000,
  final: 0b01_0000,
  independent: 0b00_1000,
  authentication: 0b00_0100,
  demand: 0b00_0010,
  multipoint: 0b00_0001,
});

/** The fields of a BFD packet (RFC 5880 §4.1). */
export interface BfdPacketFields {
  /** The sender's state. */
  state: State;
  /** Why the sender's session last changed its state. Default: `none`. */
  diagnostic?: WireDiagnostic;
  /** The receiver is to answer with Final (§6.5). Default: false. */
  poll?: boolean;
  /** The answer to a Poll; never with `poll` (§6.5). Default: false. */
  final?: boolean;
  /** The sender outlives its control plane (the C bit). Default: false. */
  independent?: boolean;
  /** The sender wants no periodic packets while both sides are Up (§6.6). Default: false. */
  demand?: boolean;
  /** The number of intervals whose silence means Down, 1 to 255. */
  detectMult: number;
  /** The sender's discriminator, 1 to 4 294 967 295. */
  localDiscr: number;
  /** The discriminator that the sender last learned from the receiver, 32 bits; 0, for none, only in Down and AdminDown. */
  peerDiscr: number;
  /** Microseconds, 32 bits. */
  desiredMinTxUs: number;
  /** Microseconds, 32 bits; 0 asks for no periodic packets. */
  requiredMinRxUs: number;
  /** The shortest interval of Echo packets that the sender supports, in microseconds, 32 bits. Default: 0, for none. */
  requiredMinEchoRxUs?: number;
  /**
   * The authentication section as the wire has it, from its type on, 2 to 28 bytes (§4.2 to §4.4). Default: none.
   */
  authentication?: Uint8Array | undefined;
}

/** One BFD control packet (RFC 5880 §4.1). Immutable. Its text in logs does not have the authentication section. */
export class BfdPacket {
  /** Always 1. */
  readonly version = BFD_VERSION;
  readonly state: State;
  readonly diagnostic: WireDiagnostic;
  readonly poll: boolean;
  readonly final: boolean;
  readonly independent: boolean;
  readonly demand: boolean;
  readonly detectMult: number;
  readonly localDiscr: number;
  readonly peerDiscr: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
  /** The number of bytes on the wire: 24, and those of the authentication section. */
  readonly length: number;
  readonly #authentication: Uint8Array | undefined;

  /** @throws LivenessError `ERR_INVALID_PACKET`, naming the first field that is wrong */
  constructor(fields: BfdPacketFields) {
    checkFields(fields);
    const { authentication } = fields;
    this.state = fields.state;
    this.diagnostic = fields.diagnostic ?? 'none';
    this.poll = fields.poll ?? false;
    this.final = fields.final ?? false;
    this.independent = fields.independent ?? false;
    this.demand = fields.demand ?? false;
    this.detectMult = fields.detectMult;
    this.localDiscr = fields.localDiscr;
    this.peerDiscr = fields.peerDiscr;
    this.desiredMinTxUs = fields.desiredMinTxUs;
    this.requiredMinRxUs = fields.requiredMinRxUs;
    this.requiredMinEchoRxUs = fields.requiredMinEchoRxUs ?? 0;
    this.length = BFD_PACKET_LENGTH + (authentication?.length ?? 0);
    this.#authentication = authentication && Uint8Array.from(authentication);
  }

  /** A copy with other values in some fields. @throws LivenessError `ERR_INVALID_PACKET` */
  with(changes: Partial<BfdPacketFields>): BfdPacket {
    const { state, diagnostic, poll, final, independent, demand, detectMult, localDiscr, peerDiscr } = this;
    const { desiredMinTxUs, requiredMinRxUs, requiredMinEchoRxUs } = this;
    const flags = { poll, final, independent, demand };
    const numbers = { detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs, requiredMinEchoRxUs };
    return new BfdPacket({ state, diagnostic, ...flags, ...numbers, authentication: this.#authentication, ...changes });
  }

  /** The authentication section, from its type on, copied; `undefined` if there is none. A simple password is in it (§4.2). */
  get authentication(): Uint8Array | undefined {
    return this.#authentication?.slice();
  }

  /** Whether the packet has an authentication section (the A bit). */
  get isAuthenticated(): boolean {
    return this.#authentication !== undefined;
  }

  /** The packet on the wire, big-endian: `length` bytes. The Multipoint bit is 0. */
  marshal(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    const flag = (isSet: boolean, bit: number): number => (isSet ? bit : 0);
    bytes[BFD_FIELD.version] = (BFD_VERSION << VERSION_SHIFT) | diagnosticToWire(this.diagnostic);
    bytes[BFD_FIELD.state] =
      (stateToWire(this.state) << STATE_SHIFT) |
      flag(this.poll, FLAG.poll) |
      flag(this.final, FLAG.final) |
      flag(this.independent, FLAG.independent) |
      flag(this.isAuthenticated, FLAG.authentication) |
      flag(this.demand, FLAG.demand);
    bytes[BFD_FIELD.detectMult] = this.detectMult;
    bytes[BFD_FIELD.length] = this.length;
    putWord(bytes, BFD_FIELD.localDiscr, this.localDiscr);
    putWord(bytes, BFD_FIELD.peerDiscr, this.peerDiscr);
    putWord(bytes, BFD_FIELD.desiredMinTx, this.desiredMinTxUs);
    putWord(bytes, BFD_FIELD.requiredMinRx, this.requiredMinRxUs);
    putWord(bytes, BFD_FIELD.requiredMinEchoRx, this.requiredMinEchoRxUs);
    if (this.#authentication !== undefined) bytes.set(this.#authentication, BFD_PACKET_LENGTH);
    return bytes;
  }

  /**
   * Reads a packet, and checks all that RFC 5880 §6.8.6 asks for without a session, in its order. Bytes beyond the length field are
   * padding (RFC 9764). Whether the authentication section is authentic is a session's to say.
   *
   * @throws ShortPacketError, UnsupportedVersionError, InvalidLengthError (also for a length beyond `bytes`); LivenessError
   * `ERR_INVALID_PACKET` for a detection multiplier of 0, the Multipoint bit, a discriminator of 0, Poll with Final, an
   * authentication section that is not of RFC 5880, and if `bytes` is no Uint8Array
   */
  static unmarshal(bytes: Uint8Array): BfdPacket {
    check(bytes instanceof Uint8Array, 'bytes', 'a Uint8Array', bytes);
    const packet = decodeBfd(bytes);
    if (typeof packet === 'string') throw errorOf(packet, bytes);
    return packet;
  }
}

/** As `BfdPacket.unmarshal`; returns the reason for a drop, since throwing an error for each packet of a flood would cost too much. */
export function decodeBfd(bytes: Uint8Array): BfdPacket | InvalidReason {
  return faultOf(bytes) ?? packetOf(bytes);
}

/** The first discard of RFC 5880 §6.8.6 that the packet calls for, in the order of the text. */
function faultOf(bytes: Uint8Array): InvalidReason | undefined {
  if (bytes.length < BFD_PACKET_LENGTH) return 'short';
  if (versionOf(bytes) !== BFD_VERSION) return 'bad_version';
  const flags = byteAt(bytes, BFD_FIELD.state);
  const length = byteAt(bytes, BFD_FIELD.length);
  const isAuthenticated = (flags & FLAG.authentication) !== 0;
  if (length < BFD_PACKET_LENGTH + (isAuthenticated ? SHORTEST_SECTION : 0)) return 'bad_len';
  if (length > bytes.length) return 'truncated';
  if (bytes[BFD_FIELD.detectMult] === 0) return 'bad_detect_mult';
  if ((flags & FLAG.multipoint) !== 0) return 'multipoint';
  if (wordAt(bytes, BFD_FIELD.localDiscr) === 0) return 'bad_discr';
  if (wordAt(bytes, BFD_FIELD.peerDiscr) === 0 && saysItHears(stateFromWire(flags >> STATE_SHIFT) as State)) return 'zero_peer_discr';
  // RFC 5880 §6.5: never both.
  if ((flags & FLAG.poll) !== 0 && (flags & FLAG.final) !== 0) return 'poll_and_final';
  // No section of RFC 5880 is longer.
  return isAuthenticated && length > BFD_PACKET_LENGTH + LONGEST_SECTION ? 'bad_auth' : undefined;
}

function packetOf(bytes: Uint8Array): BfdPacket | InvalidReason {
  const flags = byteAt(bytes, BFD_FIELD.state);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const section = has(FLAG.authentication) ? bytes.subarray(BFD_PACKET_LENGTH, byteAt(bytes, BFD_FIELD.length)) : undefined;
  return new BfdPacket({
    state: stateFromWire(flags >> STATE_SHIFT) as State,
    diagnostic: diagnosticFromWire(byteAt(bytes, BFD_FIELD.version) & DIAGNOSTIC_MASK),
    poll: has(FLAG.poll),
    final: has(FLAG.final),
    independent: has(FLAG.independent),
    demand: has(FLAG.demand),
    detectMult: byteAt(bytes, BFD_FIELD.detectMult),
    localDiscr: wordAt(bytes, BFD_FIELD.localDiscr),
    peerDiscr: wordAt(bytes, BFD_FIELD.peerDiscr),
    desiredMinTxUs: wordAt(bytes, BFD_FIELD.desiredMinTx),
    requiredMinRxUs: wordAt(bytes, BFD_FIELD.requiredMinRx),
    requiredMinEchoRxUs: wordAt(bytes, BFD_FIELD.requiredMinEchoRx),
    authentication: section,
  });
}

function versionOf(bytes: Uint8Array): number {
  return byteAt(bytes, BFD_FIELD.version) >> VERSION_SHIFT;
}

/** Init and Up say that the sender has received packets of ours, which have our discriminator. */
function saysItHears(state: State): boolean {
  return state === 'init' || state === 'up';
}

function errorOf(reason: InvalidReason, bytes: Uint8Array): LivenessError {
  const length = byteAt(bytes, BFD_FIELD.length);
  switch (reason) {
    case 'short':
      return new ShortPacketError(bytes.length, BFD_PACKET_LENGTH);
    case 'bad_version':
      return new UnsupportedVersionError(versionOf(bytes));
    case 'bad_len':
      return new InvalidLengthError(length, 'at least 24, and 26 with an authentication section');
    case 'truncated':
      return new InvalidLengthError(length, `at most the ${bytes.length} bytes of the packet`);
    default:
      return new LivenessError('ERR_INVALID_PACKET', `Invalid BFD packet: ${FAULTS[reason] ?? reason}`);
  }
}

const FAULTS: Readonly<Partial<Record<InvalidReason, string>>> = {
  bad_detect_mult: 'its detection multiplier is 0',
  multipoint: 'the Multipoint bit is set',
  bad_discr: "the sender's discriminator is 0",
  zero_peer_discr: "the receiver's discriminator is 0, and the state is Init or Up",
  poll_and_final: 'Poll and Final are both set',
  bad_auth: `its authentication section is longer than ${LONGEST_SECTION} bytes`,
};

function checkFields(fields: BfdPacketFields): void {
  check(typeof fields === 'object' && (fields as unknown) !== null, '', 'the fields of a packet', fields);
  const { state, diagnostic = 'none', detectMult, localDiscr, peerDiscr, requiredMinEchoRxUs = 0, authentication } = fields;
  check(isState(state), 'state', "'admin_down', 'down', 'init' or 'up'", state);
  check(isWireDiagnostic(diagnostic), 'diagnostic', 'a diagnostic of RFC 5880 §4.1', diagnostic);
  for (const name of ['poll', 'final', 'independent', 'demand'] as const) {
    const { [name]: flag = false } = fields;
    check(typeof flag === 'boolean', name, 'a boolean', flag);
  }
  check(!(fields.poll === true && fields.final === true), 'final', 'false in a packet with Poll', fields.final);
  checkInteger('detectMult', detectMult, 1, 255);
  checkInteger('localDiscr', localDiscr, 1, MOST_WORD);
  checkInteger('peerDiscr', peerDiscr, saysItHears(state) ? 1 : 0, MOST_WORD);
  checkInteger('desiredMinTxUs', fields.desiredMinTxUs, 0, MOST_WORD);
  checkInteger('requiredMinRxUs', fields.requiredMinRxUs, 0, MOST_WORD);
  checkInteger('requiredMinEchoRxUs', requiredMinEchoRxUs, 0, MOST_WORD);
  if (authentication === undefined) return;
  // The value may be a password: no message shows it.
  const isSection =
    authentication instanceof Uint8Array && authentication.length >= SHORTEST_SECTION && authentication.length <= LONGEST_SECTION;
  if (!isSection) throw new LivenessError('ERR_INVALID_PACKET', 'Expected `authentication` to be a Uint8Array of 2 to 28 bytes');
}

const MOST_WORD = 0xffff_ffff;

function checkInteger(path: string, value: unknown, least: number, most: number): void {
  const holds = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
  check(holds, path, `an integer from ${least} to ${most}`, value);
}

function check(holds: boolean, path: string, what: string, got: unknown): void {
  if (!holds) throw new LivenessError('ERR_INVALID_PACKET', expected(path, what, got));
}

/** Bytes <-> `ControlPacket`: the 40-byte wire format, whose first 20 bytes are RFC 5880's (§4.1). */
import { expected, LivenessError } from '../base/errors.js';
import { byteAt, putWord, wordAt } from './bytes.js';
import { isVersionBytes, NO_VERSION, type VersionBytes } from './client-version.js';
import { HEADER_FIELD, STATE_SHIFT, VERSION_SHIFT } from './header-fields.js';
import { isState, type State, stateFromWire, stateToWire } from './state.js';

/** Length of a control packet in bytes, and the value of its length field. */
export const PACKET_LENGTH = 40;

/** The only protocol version. */
export const PROTOCOL_VERSION = 1;

/** The offset of each field in bytes. The diagnostic and the flags of the header are not used. */
const FIELD = Object.freeze({
  ...HEADER_FIELD,
  flags: 20,
  clientVersion: 21,
  /** 15 bytes, sent as zeros and ignored when received. */
  reserved: 25,
});

const FLAG_PASSIVE = 0b0000_0001;

/** `ERR_SHORT_PACKET`: fewer bytes than a packet has: 40, or 24 in BFD (reference name: `ErrShortPacket`). */
export class ShortPacketError extends LivenessError {
  constructor(bytes: number, needed: number = PACKET_LENGTH) {
    super('ERR_SHORT_PACKET', `Short packet: ${bytes} bytes, ${needed} are needed`);
  }
}

/** `ERR_INVALID_LENGTH`: the length field is not 40; in BFD, it does not fit the packet (reference name: `ErrInvalidLength`). */
export class InvalidLengthError extends LivenessError {
  constructor(length: number, allowed = `${PACKET_LENGTH}`) {
    super('ERR_INVALID_LENGTH', `Invalid length field ${length}, expected ${allowed}`);
  }
}

/** `ERR_UNSUPPORTED_VERSION`: the version is not 1. */
export class UnsupportedVersionError extends LivenessError {
  constructor(version: number) {
    super('ERR_UNSUPPORTED_VERSION', `Unsupported version ${version}, expected ${PROTOCOL_VERSION}`);
  }
}

/** The fields of a packet. */
export interface ControlPacketFields {
  /** 1. */
  version: number;
  /** The sender's state. */
  state: State;
  /** The number of intervals whose silence means Down, 0 to 255. */
  detectMult: number;
  /** The sender's discriminator, 32 bits. */
  localDiscr: number;
  /** The discriminator that the sender last learned from the receiver, or 0; 32 bits. */
  peerDiscr: number;
  /** Microseconds, 32 bits. */
  desiredMinTxUs: number;
  /** Microseconds, 32 bits. */
  requiredMinRxUs: number;
  /** The sender is passive: it only observes. Default: false. */
  passive?: boolean;
  /** The sender's version: major, minor, patch, channel. Default: zeros, for none. */
  clientVersion?: VersionBytes;
}

/** One control packet (reference name: `ControlPacket`). */
export class ControlPacket {
  readonly version: number;
  readonly state: State;
  readonly detectMult: number;
  /** Always 40. */
  readonly length = PACKET_LENGTH;
  readonly localDiscr: number;
  readonly peerDiscr: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly passive: boolean;
  readonly clientVersion: VersionBytes;

  /** @throws LivenessError `ERR_INVALID_PACKET`, naming the first field that is wrong */
  constructor(fields: ControlPacketFields) {
    checkFields(fields);
    const { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs } = fields;
    const { passive = false, clientVersion = NO_VERSION } = fields;
    this.version = version;
    this.state = state;
    this.detectMult = detectMult;
    this.localDiscr = localDiscr;
    this.peerDiscr = peerDiscr;
    this.desiredMinTxUs = desiredMinTxUs;
    this.requiredMinRxUs = requiredMinRxUs;
    this.passive = passive;
    this.clientVersion = clientVersion === NO_VERSION ? NO_VERSION : [...clientVersion];
  }

  /** A copy with other values in some fields. @throws LivenessError `ERR_INVALID_PACKET` */
  with(changes: Partial<ControlPacketFields>): ControlPacket {
    const { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs, passive, clientVersion } = this;
    const own = { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs, passive, clientVersion };
    return new ControlPacket({ ...own, ...changes });
  }

  /** The packet on the wire: 40 bytes, big-endian, reserved bits and bytes zero (reference name: `Marshal`). */
  marshal(): Uint8Array {
    const bytes = new Uint8Array(PACKET_LENGTH);
    this.marshalInto(bytes);
    return bytes;
  }

  /** @internal Writes the packet into 40 given bytes. */
  marshalInto(bytes: Uint8Array): void {
    const { clientVersion } = this;
    bytes[FIELD.version] = this.version << VERSION_SHIFT;
    bytes[FIELD.state] = stateToWire(this.state) << STATE_SHIFT;
    bytes[FIELD.detectMult] = this.detectMult;
    bytes[FIELD.length] = PACKET_LENGTH;
    putWord(bytes, FIELD.localDiscr, this.localDiscr);
    putWord(bytes, FIELD.peerDiscr, this.peerDiscr);
    putWord(bytes, FIELD.desiredMinTx, this.desiredMinTxUs);
    putWord(bytes, FIELD.requiredMinRx, this.requiredMinRxUs);
    bytes[FIELD.flags] = this.passive ? FLAG_PASSIVE : 0;
    for (let index = 0; index < clientVersion.length; index += 1) bytes[FIELD.clientVersion + index] = clientVersion[index] ?? 0;
    bytes.fill(0, FIELD.reserved, PACKET_LENGTH);
  }

  /**
   * Reads a packet from the first 40 bytes (reference name: `UnmarshalControlPacket`). Checks size, version and length
   * field only; reserved bits and bytes are ignored.
   *
   * @throws ShortPacketError, UnsupportedVersionError, InvalidLengthError, in this order; LivenessError
   * `ERR_INVALID_PACKET` if `bytes` is no Uint8Array
   */
  static unmarshal(bytes: Uint8Array): ControlPacket {
    check(bytes instanceof Uint8Array, 'bytes', 'a Uint8Array', bytes);
    const fault = faultOf(bytes);
    if (fault === 'short') throw new ShortPacketError(bytes.length);
    if (fault === 'bad_version') throw new UnsupportedVersionError(versionOf(bytes));
    if (fault === 'bad_len') throw new InvalidLengthError(byteAt(bytes, FIELD.length));
    return new ControlPacket({
      version: PROTOCOL_VERSION,
      state: stateFromWire(byteAt(bytes, FIELD.state) >> STATE_SHIFT) as State,
      detectMult: byteAt(bytes, FIELD.detectMult),
      localDiscr: wordAt(bytes, FIELD.localDiscr),
      peerDiscr: wordAt(bytes, FIELD.peerDiscr),
      desiredMinTxUs: wordAt(bytes, FIELD.desiredMinTx),
      requiredMinRxUs: wordAt(bytes, FIELD.requiredMinRx),
      passive: (byteAt(bytes, FIELD.flags) & FLAG_PASSIVE) !== 0,
      clientVersion: versionBytesOf(bytes),
    });
  }
}

/** Why a received packet was dropped: the value of the `reason` label of `control_packets_rx_invalid_total`. Those from `truncated` on only in BFD. */
export type InvalidReason =
  | 'short'
  | 'bad_version'
  | 'bad_len'
  | 'bad_detect_mult'
  | 'bad_discr'
  | 'bad_interval'
  | 'foreign_discr'
  | 'bad_ttl'
  | 'truncated'
  | 'multipoint'
  | 'poll_and_final'
  | 'zero_peer_discr'
  | 'unexpected_auth'
  | 'missing_auth'
  | 'bad_auth';

/**
 * Reads a received packet: well-formed, with a detection multiplier and a discriminator that are not 0 (RFC 5880 §6.8.6).
 * Otherwise returns the reason, since throwing an error for each packet of a flood would cost too much.
 */
export function receivable(bytes: Uint8Array): ControlPacket | InvalidReason {
  const fault = faultOf(bytes);
  if (fault !== undefined) return fault;
  const packet = ControlPacket.unmarshal(bytes);
  if (packet.detectMult === 0) return 'bad_detect_mult';
  return packet.localDiscr === 0 ? 'bad_discr' : packet;
}

/** Why bytes are no packet, if they are none. */
function faultOf(bytes: Uint8Array): 'short' | 'bad_version' | 'bad_len' | undefined {
  if (bytes.length < PACKET_LENGTH) return 'short';
  if (versionOf(bytes) !== PROTOCOL_VERSION) return 'bad_version';
  return bytes[FIELD.length] === PACKET_LENGTH ? undefined : 'bad_len';
}

function versionOf(bytes: Uint8Array): number {
  return byteAt(bytes, FIELD.version) >> VERSION_SHIFT;
}

/** Most peers send zeros: they share one value. */
function versionBytesOf(bytes: Uint8Array): VersionBytes {
  const at = FIELD.clientVersion;
  if (wordAt(bytes, at) === 0) return NO_VERSION;
  return [byteAt(bytes, at), byteAt(bytes, at + 1), byteAt(bytes, at + 2), byteAt(bytes, at + 3)];
}

function checkFields(fields: ControlPacketFields): void {
  check(typeof fields === 'object' && (fields as unknown) !== null, '', 'the fields of a packet', fields);
  const { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs } = fields;
  const { passive = false, clientVersion = NO_VERSION } = fields;
  check(version === PROTOCOL_VERSION, 'version', `${PROTOCOL_VERSION}`, version);
  check(isState(state), 'state', "'admin_down', 'down', 'init' or 'up'", state);
  check(isUnsigned(detectMult, 8), 'detectMult', 'an integer from 0 to 255', detectMult);
  checkWord('localDiscr', localDiscr);
  checkWord('peerDiscr', peerDiscr);
  checkWord('desiredMinTxUs', desiredMinTxUs);
  checkWord('requiredMinRxUs', requiredMinRxUs);
  check(typeof passive === 'boolean', 'passive', 'a boolean', passive);
  check(isVersionBytes(clientVersion), 'clientVersion', 'four integers from 0 to 255', clientVersion);
}

function check(holds: boolean, path: string, what: string, got: unknown): void {
  if (!holds) throw new LivenessError('ERR_INVALID_PACKET', expected(path, what, got));
}

function checkWord(path: string, value: unknown): void {
  check(isUnsigned(value, 32), path, 'an integer from 0 to 4294967295', value);
}

function isUnsigned(value: unknown, bits: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

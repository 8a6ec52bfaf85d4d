/** Bytes <-> `ControlPacket`: the 40-byte wire format, whose first 20 bytes are RFC 5880's (§4.1). */
import { expected, LivenessError } from '../base/errors.js';
import { isVersionBytes, NO_VERSION, type VersionBytes } from './client-version.js';
import { isState, type State, stateFromWire, stateToWire } from './state.js';

/** Length of a control packet in bytes, and the value of its length field. */
export const PACKET_LENGTH = 40;

/** The one protocol version there is. */
export const PROTOCOL_VERSION = 1;

const FLAG_PASSIVE = 0b0000_0001;

/** `ERR_SHORT_PACKET`: fewer than 40 bytes (reference name: `ErrShortPacket`). */
export class ShortPacketError extends LivenessError {
  constructor(bytes: number) {
    super('ERR_SHORT_PACKET', `Short packet: ${bytes} bytes, ${PACKET_LENGTH} are needed`);
  }
}

/** `ERR_INVALID_LENGTH`: the length field is not 40 (reference name: `ErrInvalidLength`). */
export class InvalidLengthError extends LivenessError {
  constructor(length: number) {
    super('ERR_INVALID_LENGTH', `Invalid length field ${length}, expected ${PACKET_LENGTH}`);
  }
}

/** `ERR_UNSUPPORTED_VERSION`: the version is not 1. */
export class UnsupportedVersionError extends LivenessError {
  constructor(version: number) {
    super('ERR_UNSUPPORTED_VERSION', `Unsupported version ${version}, expected ${PROTOCOL_VERSION}`);
  }
}

/** What a packet is made of. */
export interface ControlPacketFields {
  /** 1. */
  version: number;
  /** The sender's state. */
  state: State;
  /** So many intervals of silence mean Down, 0 to 255. */
  detectMult: number;
  /** The sender's discriminator, 32 bits. */
  localDiscr: number;
  /** The discriminator that the sender last learned from the receiver, or 0; 32 bits. */
  peerDiscr: number;
  /** Microseconds, 32 bits. */
  desiredMinTxUs: number;
  /** Microseconds, 32 bits. */
  requiredMinRxUs: number;
  /** The sender only observes. Default: false. */
  passive?: boolean;
  /** The sender's version: major, minor, patch, channel. Default: zeros, which say nothing. */
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

  /** A copy that has other values in some fields. @throws LivenessError `ERR_INVALID_PACKET` */
  with(changes: Partial<ControlPacketFields>): ControlPacket {
    const { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs, passive, clientVersion } = this;
    const own = { version, state, detectMult, localDiscr, peerDiscr, desiredMinTxUs, requiredMinRxUs, passive, clientVersion };
    return new ControlPacket({ ...own, ...changes });
  }

  /** The packet as the wire has it: 40 bytes, big-endian, reserved bits and bytes zero (reference name: `Marshal`). */
  marshal(): Uint8Array {
    const bytes = new Uint8Array(PACKET_LENGTH);
    this.marshalInto(bytes);
    return bytes;
  }

  /** @internal The same, into 40 bytes that are there. */
  marshalInto(bytes: Uint8Array): void {
    const { clientVersion } = this;
    bytes[0] = this.version << 5;
    bytes[1] = stateToWire(this.state) << 6;
    bytes[2] = this.detectMult;
    bytes[3] = PACKET_LENGTH;
    putWord(bytes, 4, this.localDiscr);
    putWord(bytes, 8, this.peerDiscr);
    putWord(bytes, 12, this.desiredMinTxUs);
    putWord(bytes, 16, this.requiredMinRxUs);
    bytes[20] = this.passive ? FLAG_PASSIVE : 0;
    for (let at = 0; at < clientVersion.length; at += 1) bytes[21 + at] = clientVersion[at] ?? 0;
    bytes.fill(0, 25, PACKET_LENGTH);
  }

  /**
   * Reads a packet from the first 40 bytes (reference name: `UnmarshalControlPacket`). Checks size, version and length
   * field only; reserved bits and bytes are ignored, whatever they hold.
   *
   * @throws ShortPacketError, UnsupportedVersionError, InvalidLengthError, in this order; LivenessError
   * `ERR_INVALID_PACKET` for what is no Uint8Array
   */
  static unmarshal(bytes: Uint8Array): ControlPacket {
    check(bytes instanceof Uint8Array, 'bytes', 'a Uint8Array', bytes);
    const fault = faultOf(bytes);
    if (fault === 'short') throw new ShortPacketError(bytes.length);
    if (fault === 'bad_version') throw new UnsupportedVersionError(versionOf(bytes));
    if (fault === 'bad_len') throw new InvalidLengthError(byteAt(bytes, 3));
    return new ControlPacket({
      version: PROTOCOL_VERSION,
      state: stateFromWire(byteAt(bytes, 1) >> 6) as State,
      detectMult: byteAt(bytes, 2),
      localDiscr: wordAt(bytes, 4),
      peerDiscr: wordAt(bytes, 8),
      desiredMinTxUs: wordAt(bytes, 12),
      requiredMinRxUs: wordAt(bytes, 16),
      passive: (byteAt(bytes, 20) & FLAG_PASSIVE) !== 0,
      clientVersion: versionBytesOf(bytes),
    });
  }
}

/** Why a received packet was dropped: the value of the `reason` label of `control_packets_rx_invalid_total`. */
export type InvalidReason =
  'short' | 'bad_version' | 'bad_len' | 'bad_detect_mult' | 'bad_discr' | 'bad_interval' | 'foreign_discr' | 'bad_ttl';

/**
 * What the receive path takes for a packet: well-formed, and without the zeros that mean nothing (RFC 5880 §6.8.6); else
 * why it is not, without the cost of an error per packet of a flood.
 */
export function receivable(bytes: Uint8Array): ControlPacket | InvalidReason {
  const fault = faultOf(bytes);
  if (fault !== undefined) return fault;
  const packet = ControlPacket.unmarshal(bytes);
  if (packet.detectMult === 0) return 'bad_detect_mult';
  return packet.localDiscr === 0 ? 'bad_discr' : packet;
}

/** What keeps bytes from being a packet. */
function faultOf(bytes: Uint8Array): 'short' | 'bad_version' | 'bad_len' | undefined {
  if (bytes.length < PACKET_LENGTH) return 'short';
  if (versionOf(bytes) !== PROTOCOL_VERSION) return 'bad_version';
  return bytes[3] === PACKET_LENGTH ? undefined : 'bad_len';
}

function versionOf(bytes: Uint8Array): number {
  return byteAt(bytes, 0) >> 5;
}

/** Most peers say nothing: they share one value. */
function versionBytesOf(bytes: Uint8Array): VersionBytes {
  return wordAt(bytes, 21) === 0 ? NO_VERSION : [byteAt(bytes, 21), byteAt(bytes, 22), byteAt(bytes, 23), byteAt(bytes, 24)];
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** 32 bits, big-endian. A `DataView` would be one more object for each packet. */
function wordAt(bytes: Uint8Array, at: number): number {
  return ((byteAt(bytes, at) << 24) | (byteAt(bytes, at + 1) << 16) | (byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3)) >>> 0;
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
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

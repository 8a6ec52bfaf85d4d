/** Checks that a shared object is whole, before it is loaded: loading one that is cut off ends the process with SIGBUS. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The header of a 64-bit ELF file, by its offsets (elf(5), `Elf64_Ehdr`). */
const HEADER_LENGTH = 64;
const SECTION_TABLE_OFFSET = 40;
const SECTION_ENTRY_LENGTH = 58;
const SECTION_COUNT = 60;
const MAGIC = Buffer.from('\x7fELF\x02\x01', 'latin1');

/**
 * How many bytes are missing at the end of a 64-bit ELF file, little-endian; 0 if it is whole, or is another kind of file. The
 * linker writes the section table last.
 *
 * @throws the system's error if the file cannot be read
 */
export function missingBytes(path: string): number {
  const file = openSync(path, 'r');
  try {
    const header = Buffer.alloc(HEADER_LENGTH);
    const read = readSync(file, header, 0, HEADER_LENGTH, 0);
    if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return 0;
    if (read < HEADER_LENGTH) return HEADER_LENGTH - read;
    const entries = header.readUInt16LE(SECTION_COUNT) * header.readUInt16LE(SECTION_ENTRY_LENGTH);
    const end = Number(header.readBigUInt64LE(SECTION_TABLE_OFFSET)) + entries;
    return Math.max(0, end - fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

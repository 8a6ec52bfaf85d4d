/** Which combinations are run. */

/** Every combination, as every night; else those in which one thing differs from the usual. */
export const LONG = process.env['LONG_TESTS'] === '1';

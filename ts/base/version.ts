/**
 * The version of this package, as package.json and crate/Cargo.toml have it. It is a constant, since a bundle carries no
 * package.json.
 */
export const VERSION = '0.1.0';

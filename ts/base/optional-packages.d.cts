/** The types of `optional-packages.cjs`. */
declare const packages: {
  /** The platforms that have a package, named as napi-rs names them. */
  readonly PLATFORMS: readonly ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
  /** Requires the package of a platform. Some bundlers put the path of the addon in the place of its exports. */
  requireAddon(platform: (typeof packages.PLATFORMS)[number]): { readonly exports: unknown } | { readonly error: unknown };
  requirePromClient(): { readonly exports: unknown } | { readonly error: unknown };
  /** The path of the file; `undefined` in a bundle of ES modules. */
  readonly FILENAME: string | undefined;
};
export = packages;

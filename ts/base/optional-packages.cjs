/**
 * Requires the packages that may not be installed: the platform packages, which contain the addon, and prom-client. The names
 * are literals in a CommonJS file, so that bundlers find the packages and include them or leave them outside. An `import` would
 * be asynchronous, or would fail where a package is not installed.
 */
'use strict';

/** The platforms that have a package, named as napi-rs names them. */
const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];

// Each `require` is inside a `try`: bundlers then accept that the package is not installed.

function requireAddon(platform) {
  try {
    switch (platform) {
      case 'linux-x64-gnu':
        return { exports: require('route-liveness-linux-x64-gnu') };
      case 'linux-x64-musl':
        return { exports: require('route-liveness-linux-x64-musl') };
      case 'linux-arm64-gnu':
        return { exports: require('route-liveness-linux-arm64-gnu') };
      case 'linux-arm64-musl':
        return { exports: require('route-liveness-linux-arm64-musl') };
    }
  } catch (error) {
    return { error };
  }
}

function requirePromClient() {
  try {
    return { exports: require('prom-client') };
  } catch (error) {
    return { error };
  }
}

/** The path of this file; `undefined` in a bundle of ES modules. */
const FILENAME = typeof __filename === 'string' ? __filename : undefined;

module.exports = { PLATFORMS, requireAddon, requirePromClient, FILENAME };

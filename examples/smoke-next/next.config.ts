import type { NextConfig } from 'next'

export default {
  // The package has a native addon: it is required at run time, not bundled.
  serverExternalPackages: ['tidecache'],
  // Not needed in an application of its own; here, the repository around it has a lock file too.
  turbopack: { root: __dirname },
} satisfies NextConfig

import { withTidecache } from 'tidecache/next'

export default withTidecache({
  // Packages with files of their own: required at run time, not bundled. withTidecache adds its own.
  serverExternalPackages: ['@electric-sql/pglite', 'pg'],
  poweredByHeader: false,
  // Browsers ask for it by themselves, whatever the page says.
  rewrites: async () => [{ source: '/favicon.ico', destination: '/icon.svg' }],
  // Not needed in an application of its own; here, the repository around it has a lock file too.
  turbopack: { root: __dirname },
})

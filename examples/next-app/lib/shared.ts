// Next.js evaluates a module once for pages and once for route handlers: what must exist once lies here.

const kept = globalThis as typeof globalThis & { nextApp?: Map<string, unknown> }

/** The value that the first caller of this name made. */
export function shared<T>(name: string, make: () => T): T {
  kept.nextApp ??= new Map()
  if (!kept.nextApp.has(name)) kept.nextApp.set(name, make())
  return kept.nextApp.get(name) as T
}

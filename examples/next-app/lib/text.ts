/** What somebody sent, as Postgres takes it: one way to write a letter, no half of one, no NUL. '' for a file, or nothing. */
export function cleaned(value: unknown): string {
  return typeof value === 'string' ? value.normalize().replaceAll('\0', '').toWellFormed().trim() : ''
}

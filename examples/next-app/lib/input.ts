// What people send in forms, checked. The messages are for them.

import { ATTRIBUTES, MOST } from './look'
import { cleaned } from './text'
import type { BuildInput } from '../services/build.cache'

export interface FormState {
  /** By the field's name; '' is about the form. */
  errors: Record<string, string>
  /** What was sent, to be shown again. */
  values?: Record<string, string>
}

const text = (form: FormData, name: string) => cleaned(form.get(name))

/** An id, or undefined: nothing that is sent reaches a query unchecked. */
export function idOf(value: unknown): number | undefined {
  const id = typeof value === 'string' && /^[1-9]\d{0,9}$/.test(value) ? Number(value) : 0
  return id >= 1 && id <= 2_147_483_647 ? id : undefined
}

function lengthError(name: string, value: string, least: number, most: number) {
  if (value.length < least) return `${name} needs at least ${least} characters.`
  return value.length > most ? `${name} has at most ${most} characters.` : undefined
}

function skillsError(skills: string[]) {
  if (skills.length === 0 || skills.length > 6) return 'Name one to six skills, separated by commas.'
  return skills.some((skill) => skill.length > 30) ? 'A skill has at most 30 characters.' : undefined
}

/** The build that a form describes, or what is wrong with it. */
export function readBuild(form: FormData, classNames: string[]): { input: BuildInput } | FormState {
  const [title, className, summary] = [text(form, 'title'), text(form, 'class'), text(form, 'summary')]
  const skills = text(form, 'skills')
    .split(',')
    .map((skill) => skill.trim())
    .filter((skill) => skill !== '')
  const attributes = ATTRIBUTES.map((name) => attributeOf(text(form, name)))
  const found: [string, string | undefined][] = [
    ['title', lengthError('The title', title, 3, 60)],
    ['class', classNames.includes(className) ? undefined : 'Choose one of the classes.'],
    ['summary', lengthError('The plan', summary, 10, 400)],
    ['skills', skillsError(skills)],
    ...ATTRIBUTES.map((name, i) => [name, attributeError(attributes[i])] as [string, string | undefined]),
  ]
  const errors = Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined))
  if (Object.keys(errors).length === 0) return { input: { title, class: className, summary, skills, attributes } }
  const values = Object.fromEntries(
    [...form].filter(([name, value]) => !name.startsWith('$') && typeof value === 'string'),
  )
  return { errors, values: values as Record<string, string> }
}

/** What is missing is no 0. */
const attributeOf = (digits: string) => (/^\d{1,2}$/.test(digits) ? Number(digits) : Number.NaN)

const attributeError = (value: number | undefined) =>
  value !== undefined && value >= 0 && value <= MOST ? undefined : `A whole number from 0 to ${MOST}.`

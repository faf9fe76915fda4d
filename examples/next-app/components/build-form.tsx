'use client'

import { Link } from './link'
import { type InputHTMLAttributes, useActionState, useEffect, useRef } from 'react'
import { plural } from '../lib/format'
import type { FormState } from '../lib/input'
import { ATTRIBUTES, MOST } from '../lib/look'

interface Props {
  action: (state: FormState, form: FormData) => Promise<FormState>
  id?: number
  values: Record<string, string>
  classes: string[]
}

type FieldProps = { name: string; label: string; state: Required<FormState>; hint?: string }

const describedBy = ({ name, state, hint }: FieldProps) =>
  state.errors[name] !== undefined ? `${name}-error` : hint === undefined ? undefined : `${name}-hint`

function Notes({ name, state, hint }: FieldProps) {
  const error = state.errors[name]
  if (error !== undefined) {
    return (
      <span className="error" id={`${name}-error`}>
        {error}
      </span>
    )
  }
  return hint === undefined ? null : (
    <span className="quiet" id={`${name}-hint`}>
      {hint}
    </span>
  )
}

/** What is common to inputs, selects and text areas. */
const common = (props: FieldProps) => ({
  id: props.name,
  name: props.name,
  defaultValue: props.state.values[props.name],
  'aria-invalid': props.state.errors[props.name] !== undefined,
  'aria-describedby': describedBy(props),
})

function Field({ props, ...input }: { props: FieldProps } & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <div className="field">
      <label htmlFor={props.name}>{props.label}</label>
      <input {...common(props)} {...input} />
      <Notes {...props} />
    </div>
  )
}

function Attributes({ state }: { state: Required<FormState> }) {
  return (
    <fieldset className="field-row">
      <legend>Attributes, 0 to {MOST}</legend>
      {ATTRIBUTES.map((name) => (
        <Field key={name} props={{ name, label: name, state }} type="number" min={0} max={MOST} required />
      ))}
    </fieldset>
  )
}

/** What is wrong in general, or how much: read out when it appears. */
function Complaint({ errors }: { errors: FormState['errors'] }) {
  const count = Object.keys(errors).length
  if (count === 0) return null
  return (
    <p className="notice notice-danger" role="alert">
      {errors[''] ?? `${plural(count, 'field needs', 'fields need')} another look. Nothing was saved.`}
    </p>
  )
}

export function BuildForm({ action, id, values, classes }: Props) {
  const [sent, submit, isPending] = useActionState(action, { errors: {} })
  const state = { errors: sent.errors, values: sent.values ?? values }
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (sent.values !== undefined) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [sent])
  const summary: FieldProps = { name: 'summary', label: 'Plan', state, hint: 'How it is played: 10 to 400 characters.' }
  const itsClass: FieldProps = { name: 'class', label: 'Class', state }
  return (
    <form ref={form} action={submit} className="form panel">
      <Complaint errors={sent.errors} />
      {id !== undefined && <input type="hidden" name="id" value={id} />}
      <Field props={{ name: 'title', label: 'Title', state }} required minLength={3} maxLength={60} />
      <div className="field">
        <label htmlFor="class">Class</label>
        <select key={state.values.class} {...common(itsClass)} required>
          <option value="">Choose …</option>
          {classes.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <Notes {...itsClass} />
      </div>
      <div className="field">
        <label htmlFor="summary">Plan</label>
        <textarea {...common(summary)} required minLength={10} maxLength={400} rows={4} />
        <Notes {...summary} />
      </div>
      <Field props={{ name: 'skills', label: 'Skills', state, hint: 'One to six, separated by commas.' }} required />
      <Attributes state={state} />
      <div className="actions">
        <button className="button" type="submit" disabled={isPending}>
          {isPending ? 'Saving …' : 'Save'}
        </button>
        <Link className="button button-quiet" href={id === undefined ? '/' : `/builds/${id}`}>
          Cancel
        </Link>
      </div>
    </form>
  )
}

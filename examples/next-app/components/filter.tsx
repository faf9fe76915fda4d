import Form from 'next/form'
import { Link } from './link'
import { type Filters, hrefOf, namesOf, rolesOf, SORTS } from '../lib/filters'
import type { Class } from '../services/class.cache'

interface ChoiceProps {
  name: string
  label: string
  value: string
  choices: [value: string, text: string][]
}

function Choice({ name, label, value, choices }: ChoiceProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name} defaultValue={value}>
        {choices.map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

const same = (names: string[]) => names.map((name): [string, string] => [name, name])

export function Filter({ filters, classes }: { filters: Filters; classes: Class[] }) {
  const isFiltered = hrefOf({ ...filters, page: 1 }) !== '/'
  return (
    // The key: another address shows another form, not the old one's choices.
    <Form key={hrefOf(filters)} action="/" prefetch={false} className="filter" role="search" aria-label="Builds">
      <label className="field field-wide">
        <span>Title</span>
        <input type="search" name="q" defaultValue={filters.search} maxLength={40} placeholder="tempest, vigil …" />
      </label>
      <Choice
        name="class"
        label="Class"
        value={filters.className}
        choices={[['', 'All classes'], ...same(namesOf(classes))]}
      />
      <Choice name="tag" label="Role" value={filters.tag} choices={[['', 'All roles'], ...same(rolesOf(classes))]} />
      <Choice name="sort" label="Order" value={filters.sort} choices={Object.entries(SORTS)} />
      <div className="filter-buttons">
        <button className="button" type="submit">
          Show
        </button>
        {isFiltered && (
          <Link className="button button-quiet" href="/">
            Clear
          </Link>
        )}
      </div>
    </Form>
  )
}

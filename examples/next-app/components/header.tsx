import { Link } from './link'
import { signOut } from '../app/actions/session'
import { currentUser } from '../lib/session'
import { Wave } from './icons'
import { NavLink } from './nav-link'

async function Account() {
  const user = await currentUser()
  if (user === null) {
    return (
      <Link className="button button-small" href="/sign-in">
        Sign in
      </Link>
    )
  }
  return (
    <div className="account">
      <NavLink href={`/users/${user.id}`}>{user.name}</NavLink>
      {user.isAdmin && <span className="badge badge-plain">admin</span>}
      <form action={signOut}>
        <button className="button button-small button-quiet" type="submit">
          Sign out
        </button>
      </form>
    </div>
  )
}

export function Header() {
  return (
    <header className="header">
      <div className="wide header-row">
        <Link className="brand" href="/">
          <Wave /> Tidehall
        </Link>
        <nav className="nav" aria-label="Main">
          <NavLink href="/">Builds</NavLink>
          <NavLink href="/classes">Classes</NavLink>
          <NavLink href="/metrics">Metrics</NavLink>
        </nav>
        <Account />
      </div>
    </header>
  )
}

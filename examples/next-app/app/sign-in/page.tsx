import type { Metadata } from 'next'
import { DEMO_USERS } from '../../lib/seed'
import { currentUser } from '../../lib/session'
import { signIn } from '../actions/session'

export const metadata: Metadata = { title: 'Sign in' }

export default async function Page() {
  const user = await currentUser()
  return (
    <div className="narrow">
      <h1>Sign in</h1>
      <p className="lead">This is a demonstration: choose who you are. There are no passwords.</p>
      {user !== null && <p>You are {user.name} now.</p>}
      <ul className="people">
        {DEMO_USERS.map(({ id, name, isAdmin }) => (
          <li key={id}>
            <form action={signIn}>
              <input type="hidden" name="id" value={id} />
              <button className="person" type="submit">
                <span className="face" aria-hidden="true">
                  {name[0]}
                </span>
                <span>
                  <strong>{name}</strong>
                  <span className="quiet">{isAdmin ? 'Administrator: may change everything' : 'Player'}</span>
                </span>
              </button>
            </form>
          </li>
        ))}
      </ul>
    </div>
  )
}

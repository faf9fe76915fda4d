import { connection } from 'next/server'
import { getAllBuilds } from '../lib/build.cache'
import { type Build, queryCount } from '../lib/database'
import { like } from './actions'

function Row({ build }: { build: Build }) {
  return (
    <tr>
      <td>{build.title}</td>
      <td>{build.className}</td>
      <td>{build.updatedAt.toISOString()}</td>
      <td>
        <form action={like}>
          <input type="hidden" name="id" value={build.id} />
          <button type="submit">{`♥ ${build.likes}`}</button>
        </form>
      </td>
    </tr>
  )
}

export default async function Page() {
  await connection() // per request: prerendered, the page would stay as it was at build time
  const builds = await getAllBuilds()
  return (
    <main>
      <h1>{`${builds.length} builds`}</h1>
      <table>
        <tbody>
          {builds.map((build) => (
            <Row key={build.id} build={build} />
          ))}
        </tbody>
      </table>
      <p>
        Database queries: <output>{queryCount()}</output>
      </p>
    </main>
  )
}

import { deleteBuild } from '../app/actions/builds'

/** Asks once more, without a script. */
export function Delete({ id, title }: { id: number; title: string }) {
  return (
    <details className="delete">
      <summary className="button button-quiet">Delete …</summary>
      <form action={deleteBuild} className="delete-sure">
        <input type="hidden" name="id" value={id} />
        <p>“{title}” will be gone for good.</p>
        <button className="button button-danger" type="submit">
          Delete it
        </button>
      </form>
    </details>
  )
}

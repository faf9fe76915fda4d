import { Wave } from '../components/icons'
import { Link } from '../components/link'

export default function NotFound() {
  return (
    <div className="narrow message">
      <Wave />
      <h1>Washed away</h1>
      <p className="lead">There is nothing at this address. It may have been deleted.</p>
      <Link className="button" href="/">
        To the builds
      </Link>
    </div>
  )
}

'use client'

import { useFormStatus } from 'react-dom'
import { toggleLike } from '../app/actions/builds'
import { Heart } from './icons'

interface Props {
  id: number
  likes: number
  isLiked: boolean
}

/** Shows the change while the action runs; then what the page says. */
function Toggle({ likes, isLiked }: Omit<Props, 'id'>) {
  const { pending } = useFormStatus()
  const isShown = pending ? !isLiked : isLiked
  const shown = likes + (Number(isShown) - Number(isLiked))
  return (
    <button className="button button-like" type="submit" aria-pressed={isShown}>
      <Heart filled={isShown} /> <span className="hidden">Like, </span>
      {shown} <span className="hidden">{shown === 1 ? 'like' : 'likes'}</span>
    </button>
  )
}

export function LikeButton({ id, likes, isLiked }: Props) {
  return (
    <form action={toggleLike}>
      <input type="hidden" name="id" value={id} />
      <Toggle likes={likes} isLiked={isLiked} />
    </form>
  )
}

import { ATTRIBUTES, cornersOf, MOST, pointsOf } from '../lib/look'

/** The shape of a build, small: a picture of its attributes, which its page tells in words. */
export function Sigil({ attributes }: { attributes: number[] }) {
  return (
    <svg className="sigil" viewBox="-1.1 -1.1 2.2 2.2" aria-hidden="true">
      <circle r="1.06" className="sigil-ground" />
      <polygon points={pointsOf(cornersOf(attributes, 0.92))} className="sigil-shape" />
      <circle r="0.07" className="sigil-heart" />
    </svg>
  )
}

const FULL = ATTRIBUTES.map(() => MOST)

/** The same, large, with its axes; the table beside it has the figures. */
export function Radar({ attributes }: { attributes: number[] }) {
  const said = ATTRIBUTES.map((name, i) => `${name} ${attributes[i]}`).join(', ')
  return (
    <svg className="radar" viewBox="-1.7 -1.3 3.4 2.45" role="img" aria-label={`Attributes of ${MOST}: ${said}`}>
      {[0.25, 0.5, 0.75, 1].map((scale) => (
        <polygon key={scale} points={pointsOf(cornersOf(FULL, scale))} className="radar-ring" />
      ))}
      {cornersOf(FULL).map(([x, y]) => (
        <line key={`${x},${y}`} x2={x} y2={y} className="radar-ring" />
      ))}
      <polygon points={pointsOf(cornersOf(attributes))} className="radar-shape" />
      {cornersOf(attributes).map(([x, y]) => (
        <circle key={`${x},${y}`} cx={x} cy={y} r="0.035" className="radar-dot" />
      ))}
      {cornersOf(FULL, 1.15).map(([x, y], i) => (
        <text key={ATTRIBUTES[i]} x={x} y={y + 0.05} className="radar-name" textAnchor={anchorOf(x)}>
          {ATTRIBUTES[i]}
        </text>
      ))}
    </svg>
  )
}

const anchorOf = (x: number) => (Math.abs(x) < 0.1 ? 'middle' : x > 0 ? 'start' : 'end')

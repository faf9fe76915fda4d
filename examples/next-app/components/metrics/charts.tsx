import type { ReactNode } from 'react'
import { number } from '../../lib/format'
import { type Point, STEP } from '../../lib/series'

const WIDTH = 600
const HEIGHT = 160

/** 1, 2 or 5 times a power of ten: the least that is not below the value. */
function niceTop(value: number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)))
  return ([1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10) * power
}

const xOf = (i: number, count: number) => (i / Math.max(1, count - 1)) * WIDTH
const yOf = (value: number, bottom: number, top: number) => HEIGHT - ((value - bottom) / (top - bottom)) * HEIGHT
const spot = (x: number, y: number) => `${x.toFixed(1)},${y.toFixed(1)}`

/** Between two lines of values. */
function area(low: number[], high: number[], top: number) {
  const there = high.map((value, i) => spot(xOf(i, high.length), yOf(value, 0, top)))
  const back = low.map((value, i) => spot(xOf(i, low.length), yOf(value, 0, top))).reverse()
  return `M${[...there, ...back].join('L')}Z`
}

/** With gaps where there is no value. */
function line(values: (number | undefined)[], bottom: number, top: number) {
  let isDrawn = false
  return values
    .map((value, i) => {
      const command = isDrawn ? 'L' : 'M'
      isDrawn = value !== undefined
      return value === undefined ? '' : command + spot(xOf(i, values.length), yOf(value, bottom, top))
    })
    .join('')
}

interface ChartProps {
  id: string
  title: string
  /** What somebody who does not see it is told. */
  said: string
  ticks: string[]
  minutes: number
  legend?: [colour: string, name: string][]
  children: ReactNode
}

function Chart({ id, title, said, ticks, minutes, legend = [], children }: ChartProps) {
  return (
    <figure className="panel chart" aria-labelledby={id}>
      <figcaption id={id}>{title}</figcaption>
      {legend.length > 0 && (
        <ul className="legend">
          {legend.map(([colour, name]) => (
            <li key={name}>
              <span className="swatch" style={{ background: `var(--${colour})` }} /> {name}
            </li>
          ))}
        </ul>
      )}
      <div className="plot">
        <div className="ticks" aria-hidden="true">
          {ticks.map((tick) => (
            <span key={tick}>{tick}</span>
          ))}
        </div>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={said}>
          {ticks.map((tick, i) => {
            const y = (i / (ticks.length - 1)) * HEIGHT
            return <line key={tick} x2={WIDTH} y1={y} y2={y} className="gridline" />
          })}
          {children}
        </svg>
        <div className="times" aria-hidden="true">
          <span>{`${minutes} min ago`}</span>
          <span>now</span>
        </div>
      </div>
    </figure>
  )
}

const minutesOf = (points: Point[]) => Math.round((points.length * STEP) / 60_000)
const ticksOf = (top: number) => [top, top / 2, 0].map((value) => (value < 10 ? String(value) : number(value)))
const short = (value: number) => (value < 10 ? value.toFixed(1) : number(Math.round(value)))
const mostOf = (values: number[]) => Math.max(0, ...values)

export function ReadsChart({ points }: { points: Point[] }) {
  const zero = points.map(() => 0)
  const memory = points.map((point) => point.memory)
  const redis = points.map((point) => point.memory + point.redis)
  const all = points.map((point) => point.memory + point.redis + point.misses)
  const top = niceTop(mostOf(all))
  const said = `Reads per second: ${short(all.at(-1) ?? 0)} now, ${short(mostOf(all))} at most in this time.`
  const legend: [string, string][] = [
    ['memory', 'memory'],
    ['redis', 'Redis'],
    ['miss', 'waited for a load'],
  ]
  return (
    <Chart
      id="reads"
      title="Reads per second"
      said={said}
      ticks={ticksOf(top)}
      minutes={minutesOf(points)}
      legend={legend}
    >
      <path d={area(zero, memory, top)} fill="var(--memory)" />
      <path d={area(memory, redis, top)} fill="var(--redis)" />
      <path d={area(redis, all, top)} fill="var(--miss)" />
    </Chart>
  )
}

export function HitRateChart({ points }: { points: Point[] }) {
  const rates = points.map(({ hitRate }) => hitRate)
  const known = rates.filter((rate) => rate !== undefined)
  const said =
    known.length === 0
      ? 'Hit rate: nothing was read in this time.'
      : `Hit rate: ${known.at(-1)?.toFixed(1)} % at last, ${Math.min(...known).toFixed(1)} % at least in this time.`
  return (
    <Chart id="rate" title="Hit rate, per cent" said={said} ticks={['100', '50', '0']} minutes={minutesOf(points)}>
      <path d={line(rates, 0, 100)} className="line" stroke="var(--good)" />
    </Chart>
  )
}

export function QueriesChart({ points }: { points: Point[] }) {
  const queries = points.map((point) => point.queries)
  const top = niceTop(mostOf(queries))
  const said = `Database queries per second: ${short(queries.at(-1) ?? 0)} now, ${short(mostOf(queries))} at most in this time.`
  return (
    <Chart
      id="queries"
      title="Database queries per second"
      said={said}
      ticks={ticksOf(top)}
      minutes={minutesOf(points)}
    >
      <path
        d={area(
          points.map(() => 0),
          queries,
          top,
        )}
        fill="var(--miss)"
      />
    </Chart>
  )
}

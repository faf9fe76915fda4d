// How classes look: a hue each, for their badge and the sigils of their builds.

import type { CSSProperties } from 'react'

const HUES: Record<string, number> = {
  Alchemist: 95,
  Berserker: 12,
  Blademaster: 220,
  Cleric: 48,
  Druid: 140,
  Elementalist: 26,
  Necromancer: 285,
  Paladin: 38,
  Ranger: 165,
  Rogue: 330,
  Warden: 200,
  Warlock: 262,
}

export const hueStyle = (className: string) => ({ '--hue': HUES[className] ?? 190 }) as CSSProperties

export const ATTRIBUTES = ['Might', 'Guard', 'Haste', 'Wits', 'Spirit']
export const MOST = 20

/** The corners of a build's shape: five axes from the middle (0, 0), the longest of length 1. */
export function cornersOf(attributes: number[], scale = 1): [x: number, y: number][] {
  return ATTRIBUTES.map((_, i) => {
    const angle = (i / ATTRIBUTES.length) * 2 * Math.PI - Math.PI / 2
    const length = (scale * (attributes[i] ?? 0)) / MOST
    return [round(length * Math.cos(angle)), round(length * Math.sin(angle))]
  })
}

const round = (value: number) => Math.round(value * 100) / 100

export const pointsOf = (corners: [number, number][]) => corners.map((corner) => corner.join(',')).join(' ')

// A contact as JSContact has it (RFC 9553), as far as the client shows it. What it does not
// know of a card it leaves as it is.
import { language, locale, t } from '../kit/i18n'

export interface Component { kind: string; value: string }
interface Kept { contexts?: Record<string, boolean>; label?: string; pref?: number }
export interface CardEmail extends Kept { address: string }
export interface CardPhone extends Kept { number: string; features?: Record<string, boolean> }
export interface CardAddress extends Kept { full?: string; components?: Component[]; isOrdered?: boolean; defaultSeparator?: string }
export interface CardDate { kind: string; date: { '@type'?: string; year?: number; month?: number; day?: number; utc?: string } }
export interface CardMedia { kind: string; uri?: string; mediaType?: string }
export interface Card {
  id: string; uid: string; kind?: string | null; created?: string | null; updated?: string | null
  name?: { full?: string; components?: Component[]; isOrdered?: boolean } | null
  nicknames?: Record<string, { name: string }> | null
  organizations?: Record<string, { name?: string; units?: { name: string }[] }> | null
  titles?: Record<string, { name: string }> | null
  emails?: Record<string, CardEmail> | null
  phones?: Record<string, CardPhone> | null
  addresses?: Record<string, CardAddress> | null
  anniversaries?: Record<string, CardDate> | null
  notes?: Record<string, { note: string }> | null
  links?: Record<string, { uri: string }> | null
  media?: Record<string, CardMedia> | null
  members?: Record<string, boolean> | null
  [property: string]: unknown
}

export const list = <T>(m: Record<string, T> | null | undefined): [string, T][] => Object.entries(m || {})
export const isGroup = (c: Card) => c.kind === 'group'
export const addressesOf = (c: Card): string[] => list(c.emails).sort((a, b) => (a[1].pref || 100) - (b[1].pref || 100)).map(([, e]) => e.address).filter(Boolean)

const part = (c: Card, kind: string) => (c.name?.components || []).filter((x) => x.kind === kind).map((x) => x.value).join(' ')
export const given = (c: Card) => [part(c, 'given'), part(c, 'given2')].filter(Boolean).join(' ')
export const surname = (c: Card) => [part(c, 'surname'), part(c, 'surname2')].filter(Boolean).join(' ')
// own is the name that a card carries; titled is what it is called on the screen.
export const own = (c: Card) => c.name?.full || (c.name?.components || []).filter((x) => x.kind !== 'separator').map((x) => x.value).join(' ').trim()
export const titled = (c: Card) => own(c) || list(c.organizations)[0]?.[1].name || addressesOf(c)[0] || t('(no name)')
export const initialsOf = (s: string) => s.replace(/["'(]/g, '').split(/[\s.@]+/).slice(0, 2).map((x) => [...x][0]?.toUpperCase() || '').join('') || '?'
export const photoOf = (c: Card) => list(c.media).find(([, m]) => m.kind === 'photo' && /^data:image\/(png|jpeg|gif|webp)[;,]/.test(m.uri || ''))?.[1].uri
export const written = (a: CardAddress) => a.full || (a.components || []).map((x) => (x.kind === 'separator' ? x.value : x.value + '\n')).join('').trim()

// letterOf is the heading that a card stands under.
export function letterOf(name: string): string {
  const first = [...name.normalize('NFD')][0] || ''
  return /\p{L}/u.test(first) ? first.toLocaleUpperCase(language()) : '#'
}

export function birthday(c: Card): CardDate['date'] | undefined { return list(c.anniversaries).find(([, a]) => a.kind === 'birth')?.[1].date }
export function dayText(d: CardDate['date']): string {
  if (d.utc) return new Intl.DateTimeFormat(locale(), { dateStyle: 'long', timeZone: 'UTC' }).format(new Date(d.utc))
  if (!d.month || !d.day) return d.year ? String(d.year) : ''
  return new Intl.DateTimeFormat(locale(), { timeZone: 'UTC', day: 'numeric', month: 'long', ...(d.year ? { year: 'numeric' } : {}) }).format(new Date(Date.UTC(d.year || 2000, d.month - 1, d.day)))
}
const two = (n: number) => String(n).padStart(2, '0')
export const dayInput = (d?: CardDate['date']) => (d?.utc ? d.utc.slice(0, 10) : d?.year && d.month && d.day ? `${String(d.year).padStart(4, '0')}-${two(d.month)}-${two(d.day)}` : '')

// The kinds that an address or a number may be of, as the form offers them.
export const kinds = { '': 'Other', private: 'Home', work: 'Work', mobile: 'Mobile' } as const
export const kindOf = (x: Kept & { features?: Record<string, boolean> }): keyof typeof kinds => (x.features?.mobile || x.features?.cell ? 'mobile' : x.contexts?.work ? 'work' : x.contexts?.private ? 'private' : '')
export function withKind<T extends Kept & { features?: Record<string, boolean> }>(x: T, kind: string): T {
  if (kindOf(x) === kind) return x
  const out = { ...x, contexts: { ...x.contexts }, features: { ...x.features } }
  for (const k of ['work', 'private']) delete out.contexts[k]
  for (const k of ['mobile', 'cell']) delete out.features[k]
  if (kind === 'mobile') out.features.mobile = true
  else if (kind) out.contexts[kind] = true
  if (!Object.keys(out.contexts).length) delete (out as Kept).contexts
  if (!Object.keys(out.features).length) delete (out as { features?: unknown }).features
  return out
}

// changed are the properties by which a card differs from what it was; what went is null.
const made = new Set(['id', 'created', 'updated'])
export function changed(from: Card, to: Card): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const k of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (made.has(k)) continue
    const a = from[k] ?? null, b = to[k] ?? null
    if (JSON.stringify(a) !== JSON.stringify(b)) out[k] = b
  }
  return out
}

// merge is one card made of two: what both have stands once, what only one has stays.
export function merge(a: Card, b: Card): Card {
  const out: Card = { ...a }
  for (const k in b) {
    const x = a[k], y = b[k]
    if (x === null || x === undefined || x === '') { out[k] = y; continue }
    if (made.has(k) || k === 'uid' || k === 'name' || k === 'kind' || typeof x !== 'object' || typeof y !== 'object' || !y) continue
    const all: Record<string, unknown> = { ...(x as Record<string, unknown>) }, said = new Set(Object.values(all).map(essence))
    for (const [key, v] of Object.entries(y as Record<string, unknown>)) {
      if (k === 'members' || k === 'keywords') { all[key] = v; continue }
      if (said.has(essence(v)) || (k === 'anniversaries' && 'kind' in (v as object) && Object.values(all).some((o) => (o as CardDate).kind === (v as CardDate).kind))) continue
      let name = key
      for (let n = 1; name in all; n++) name = `${key}-${n}`
      all[name] = v
    }
    out[k] = all
  }
  return out
}
const essence = (v: unknown) => {
  const o = v as Record<string, unknown>
  return String(o?.address ?? (o?.number as string)?.replace?.(/[^+\d]/g, '') ?? o?.note ?? o?.uri ?? o?.full ?? o?.name ?? JSON.stringify(v)).trim().toLowerCase()
}

// twins are pairs that seem to be one person: an address of both, or one name.
export function twins(cards: Card[]): [Card, Card][] {
  const seen = new Map<string, Card>(), out: [Card, Card][] = [], used = new Set<string>()
  for (const c of cards) {
    if (isGroup(c)) continue
    const name = own(c).normalize('NFKC').toLowerCase().trim()
    for (const k of [...addressesOf(c).map((a) => 'a ' + a.toLowerCase()), ...(name.includes(' ') ? ['n ' + name] : [])]) {
      const old = seen.get(k)
      if (!old) seen.set(k, c)
      else if (old.id !== c.id && !used.has(old.id) && !used.has(c.id)) { out.push([old, c]); used.add(old.id); used.add(c.id) }
    }
  }
  return out
}

// Words. The key is the English text, in a small part of ICU MessageFormat: {name}, and
// {n, plural, one {…} other {…}} with # for the number. No text is put together from pieces.
import { settings } from '../store/settings.svelte'

type Catalog = Record<string, string>
export const languages: Record<string, string> = { en: 'English', de: 'Deutsch', fr: 'Français', es: 'Español', ar: 'العربية', ja: '日本語' }
const catalogs: Record<string, Catalog> = { en: {} }
const loaders: Record<string, () => Promise<{ default: Catalog }>> = {
  de: () => import('./words/de'), fr: () => import('./words/fr'), es: () => import('./words/es'), ar: () => import('./words/ar'), ja: () => import('./words/ja'),
}

export function language(): string {
  const want = settings.language || navigator.language.slice(0, 2)
  return languages[want] ? want : 'en'
}
export const isRTL = () => language() === 'ar'

export async function loadWords() {
  const l = language()
  if (!catalogs[l]) catalogs[l] = (await loaders[l]()).default
  document.documentElement.lang = l
  document.documentElement.dir = isRTL() ? 'rtl' : 'ltr'
}

const rules = new Map<string, Intl.PluralRules>()
function plural(l: string, n: number) {
  let r = rules.get(l)
  if (!r) rules.set(l, (r = new Intl.PluralRules(l)))
  return r.select(n)
}

// What stands after a bar tells two meanings of an English word apart: Archive, and Archive|mailbox.
const plain = (key: string) => { const at = key.lastIndexOf('|'); return at < 0 ? key : key.slice(0, at) }

export function t(key: string, args?: Record<string, string | number>): string {
  const l = language()
  const text = catalogs[l]?.[key] ?? plain(key)
  return args ? fill(text, args, l) : text
}

function fill(text: string, args: Record<string, string | number>, l: string): string {
  let out = ''
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '{') { out += text[i]; continue }
    let depth = 1, j = i + 1
    for (; j < text.length && depth; j++) depth += text[j] === '{' ? 1 : text[j] === '}' ? -1 : 0
    const inner = text.slice(i + 1, j - 1)
    const m = inner.match(/^(\w+),\s*plural,\s*([^]*)$/)
    if (m) {
      const n = Number(args[m[1]]), forms: Record<string, string> = {}
      for (const f of m[2].matchAll(/(=?\w+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}/g)) forms[f[1]] = f[2]
      out += fill((forms[`=${n}`] ?? forms[plural(l, n)] ?? forms.other ?? '').replaceAll('#', number(n)), args, l)
    } else out += args[inner] ?? ''
    i = j - 1
  }
  return out
}

export const number = (n: number) => new Intl.NumberFormat(language()).format(n)

export function bytes(n: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte']
  let u = 0
  while (n >= 1000 && u < 3) { n /= 1000; u++ }
  return new Intl.NumberFormat(language(), { style: 'unit', unit: units[u], unitDisplay: u ? 'short' : 'long', maximumFractionDigits: n < 10 && u > 1 ? 1 : 0 }).format(n)
}

export const locale = () => (language() === 'en' ? navigator.language.startsWith('en') ? navigator.language : 'en-GB' : language())
const fmt = new Map<string, Intl.DateTimeFormat>()
function format(d: Date, key: string, o: Intl.DateTimeFormatOptions) {
  const k = language() + key
  let f = fmt.get(k)
  if (!f) fmt.set(k, (f = new Intl.DateTimeFormat(locale(), o)))
  return f.format(d)
}
const day = (d: Date) => Math.floor((d.getTime() - d.getTimezoneOffset() * 60_000) / 86_400_000)

// ago is the date of a row: time today, weekday this week, else the date.
export function ago(iso: string): string {
  const d = new Date(iso), n = day(new Date()) - day(d)
  if (n <= 0) return format(d, 't', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  if (n === 1) return t('Yesterday')
  if (n < 7) return format(d, 'w', { weekday: 'short' })
  if (d.getFullYear() === new Date().getFullYear()) return format(d, 'd', { day: 'numeric', month: 'short' })
  return format(d, 'y', { day: '2-digit', month: '2-digit', year: 'numeric' })
}
export const fullDate = (iso: string) => format(new Date(iso), 'full', { dateStyle: 'full', timeStyle: 'short' })
// exactTime is a moment of a record: its day, or its time.
export const exactTime = (iso: string, ofDay = false) => format(new Date(iso), ofDay ? 'ed' : 'et', ofDay ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
export const whenDate = (d: Date) => format(d, 'when', { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
export const shortDate = (iso: string) => {
  const d = new Date(iso), n = day(new Date()) - day(d)
  if (n <= 0) return ago(iso)
  return n < 7 ? format(d, 'sw', { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }) : format(d, 'sd', { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
}
// group is asked of thousands of rows at a time: what a day is called is remembered.
const groups = new Map<number, string>()
let today = 0
export function group(iso: string): string {
  const now = day(new Date()), d = new Date(iso), on = day(d)
  if (now !== today) { groups.clear(); today = now }
  let g = groups.get(on)
  if (!g) groups.set(on, (g = groupName(d, now - on)))
  return g
}
function groupName(d: Date, n: number): string {
  if (n <= 0) return t('Today')
  if (n === 1) return t('Yesterday')
  if (n < 7) return t('Last week')
  return format(d, 'm', { month: 'long', year: 'numeric' })
}

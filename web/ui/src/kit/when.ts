// Times as one types them: "fri 9", "tomorrow 14:30", "3h", "24.12.", "2027-01-31 8", in English and in the
// language of the client.
import { language } from './i18n'

const unit: Record<string, number> = { m: 60e3, min: 60e3, h: 36e5, d: 864e5, w: 7 * 864e5 }

// days are the names of the days of the week, Sunday first, and those of today and tomorrow.
function names(locale: string): { week: string[]; near: string[] } {
  const f = new Intl.DateTimeFormat(locale, { weekday: 'long', timeZone: 'UTC' }), r = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  return { week: [0, 1, 2, 3, 4, 5, 6].map((n) => f.format(Date.UTC(2023, 0, 1 + n)).toLowerCase()), near: [0, 1].map((n) => r.format(n, 'day').toLowerCase()) }
}

// when reads a time that is still to come; null if it is none.
export function when(text: string, now = new Date()): Date | null {
  const words = text.toLowerCase().trim().split(/[\s,]+/).filter(Boolean), later = words.join('').match(/^(\d{1,4})(m|min|h|d|w)$/)
  if (later) return +later[1] ? new Date(+now + +later[1] * unit[later[2]]) : null
  let day: Date | null = null, clock: [number, number] | null = null, week = false
  const at = (y: number, m: number, d: number) => { const x = new Date(y, m, d); return x.getMonth() === m && x.getDate() === d ? x : null }
  for (const w of words) {
    const iso = w.match(/^(\d{4})-(\d{1,2})-(\d{1,2})$/), dots = w.match(/^(\d{1,2})\.(\d{1,2})\.(\d{4})?$/), time = w.match(/^(\d{1,2})(?:[:.h](\d\d))?(am|pm)?$/)
    if (iso) day = at(+iso[1], +iso[2] - 1, +iso[3])
    else if (dots) { day = at(+(dots[3] || now.getFullYear()), +dots[2] - 1, +dots[1]); if (day && !dots[3] && +day + 864e5 < +now) day = at(now.getFullYear() + 1, +dots[2] - 1, +dots[1]) }
    else if (time && !clock) {
      const h = +time[1] % (time[3] ? 12 : 99) + (time[3] === 'pm' ? 12 : 0), m = +(time[2] || 0)
      if (h > 23 || m > 59) return null
      clock = [h, m]
      continue
    } else if (w.length > 1 && !day) {
      for (const l of [names(language()), names('en')]) {
        const near = l.near.findIndex((x) => x.startsWith(w)), of = l.week.findIndex((x) => x.startsWith(w))
        if (near >= 0) day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + near)
        else if (of >= 0) { week = true; day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + (of - now.getDay() + 7) % 7) }
        if (day) break
      }
    }
    if (!day) return null
  }
  if (!day && !clock) return null
  const out = new Date(day ?? now)
  out.setHours(...(clock ?? [8, 0]), 0, 0)
  if (+out <= +now) { if (week) out.setDate(out.getDate() + 7); else if (!day) out.setDate(out.getDate() + 1); else return null }
  return out
}

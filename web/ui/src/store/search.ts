// The search language of §5.5, compiled to one JMAP filter.
import type { Mailbox } from '../jmap/types'

type Token = { op: '(' | ')' | 'OR' | '-' } | { op: 'term'; key: string; value: string }

export const operators = ['from:', 'to:', 'cc:', 'with:', 'subject:', 'body:', 'in:', 'label:', 'list:', 'filename:', 'is:unread', 'is:read', 'is:starred', 'is:draft', 'is:sent',
  'has:attachment', 'has:image', 'has:pdf', 'has:link', 'before:', 'after:', 'on:', 'older_than:', 'newer_than:', 'larger:', 'smaller:']

function tokens(s: string): Token[] {
  const out: Token[] = []
  const re = /\s*(?:(\()|(\))|(OR)(?=\s|$)|(-)(?=\S)|(?:([a-z_]+):)?(?:"([^"]*)"?|([^\s()"]+)))/gy
  for (let m; out.length < 100 && re.lastIndex < s.length && (m = re.exec(s)); ) {
    if (m[1]) out.push({ op: '(' })
    else if (m[2]) out.push({ op: ')' })
    else if (m[3]) out.push({ op: 'OR' })
    else if (m[4]) out.push({ op: '-' })
    else out.push({ op: 'term', key: m[5] || '', value: m[6] ?? m[7] ?? '' })
  }
  return out
}

const units: Record<string, number> = { d: 864e5, w: 6048e5, m: 2592e6, y: 31536e6 }
const size = (v: string) => { const m = v.match(/^(\d+(?:\.\d+)?)\s*([km]?)b?$/i); return m ? Math.round(+m[1] * (m[2].toLowerCase() === 'm' ? 1e6 : m[2] ? 1e3 : 1)) : 0 }
const date = (v: string) => { const d = new Date(v.replaceAll('/', '-') + (v.length <= 4 ? '-01-01' : '') + 'T00:00:00'); return isNaN(+d) ? null : d }
const utc = (d: Date) => d.toISOString().replace(/\.\d+/, '')

function condition(key: string, v: string, boxes: Mailbox[]): any {
  const any = (conditions: any[]) => ({ operator: 'OR', conditions })
  switch (key) {
    case 'from': case 'to': case 'cc': case 'bcc': case 'subject': case 'body': return { [key]: v }
    case 'with': return any([{ from: v }, { to: v }, { cc: v }])
    case 'list': return { header: ['List-Id', v] }
    case 'filename': return { header: ['Content-Disposition', v] }
    case 'in': case 'label': {
      const b = boxes.find((b) => b.role === v.toLowerCase() || b.name.toLowerCase() === v.toLowerCase()) || boxes.find((b) => b.name.toLowerCase().startsWith(v.toLowerCase()))
      return b ? { inMailbox: b.id } : { text: v }
    }
    case 'is':
      switch (v) {
        case 'unread': return { notKeyword: '$seen' }
        case 'read': return { hasKeyword: '$seen' }
        case 'starred': return { hasKeyword: '$flagged' }
        case 'muted': return { hasKeyword: '$muted' }
        case 'draft': return { hasKeyword: '$draft' }
        case 'sent': { const b = boxes.find((b) => b.role === 'sent'); if (b) return { inMailbox: b.id } }
      }
      return { text: v }
    case 'has':
      if (v === 'attachment' || v === 'image' || v === 'pdf' || v === 'invite') {
        const a = { hasAttachment: true }
        return v === 'attachment' || v === 'image' ? a : { operator: 'AND', conditions: [a, { text: v }] }
      }
      return v === 'link' ? { body: 'http' } : { text: v }
    case 'before': case 'after': case 'on': {
      const d = date(v)
      if (!d) return { text: v }
      if (key !== 'on') return { [key]: utc(d) }
      return { operator: 'AND', conditions: [{ after: utc(d) }, { before: utc(new Date(+d + 864e5)) }] }
    }
    case 'older_than': case 'newer_than': {
      const m = v.match(/^(\d+)([dwmy])$/)
      return m ? { [key === 'older_than' ? 'before' : 'after']: utc(new Date(Date.now() - +m[1] * units[m[2]])) } : { text: v }
    }
    case 'larger': return { minSize: size(v) }
    case 'smaller': return { maxSize: size(v) }
    case '': return { text: v }
  }
  return { text: key + ':' + v }
}

export function parseSearch(s: string, boxes: Mailbox[]): any {
  const list = tokens(s)
  let i = 0
  function one(): any {
    const tk = list[i]
    if (!tk) return null
    if (tk.op === '-') { i++; const c = one(); return c && { operator: 'NOT', conditions: [c] } }
    if (tk.op === '(') { i++; const c = all(); if (list[i]?.op === ')') i++; return c }
    if (tk.op === 'term') { i++; return condition(tk.key, tk.value, boxes) }
    i++
    return null
  }
  function all(): any {
    const groups: any[][] = [[]]
    while (i < list.length && list[i].op !== ')') {
      if (list[i].op === 'OR') { i++; groups.push([]); continue }
      const c = one()
      if (c) groups[groups.length - 1].push(c)
    }
    const parts = groups.filter((g) => g.length).map((g) => (g.length > 1 ? { operator: 'AND', conditions: g } : g[0]))
    return parts.length > 1 ? { operator: 'OR', conditions: parts } : parts[0] ?? null
  }
  return all() ?? { text: s }
}

// words of a search that can be marked in a message.
export const plainWords = (s: string) => tokens(s).flatMap((tk) => (tk.op === 'term' && ['', 'subject', 'body'].includes(tk.key) ? [tk.value] : [])).join(' ')

// Rules, written as Sieve (RFC 5228). Each of ours stands between two comments, with a line
// of JSON from which it is read again; what stands elsewhere is somebody's own script,
// and is kept byte for byte.
import type { Mailbox } from '../jmap/types'

export type Field = 'from' | 'to' | 'subject' | 'list' | 'larger' | 'attachment'
export type How = 'contains' | 'is' | 'not'
export interface Condition { field: Field; how: How; value: string }
export interface Act { do: 'move' | 'label' | 'read' | 'star' | 'archive' | 'trash' | 'stop'; box?: string }
export interface Rule { id: string; name: string; on: boolean; all: boolean; conditions: Condition[]; actions: Act[] }
export type Segment = { rule: Rule; text: string } | { rule: null; text: string }

const opens = '# posthouse rule ', closes = '# posthouse end\n'
const needs = '# posthouse require\n'

// parse cuts a script into rules and what stands between them.
export function parse(script: string): Segment[] {
  const out: Segment[] = []
  let rest = script
  if (rest.startsWith(needs)) { const i = rest.indexOf(closes); if (i > 0) rest = rest.slice(i + closes.length) }
  for (;;) {
    const m = /^# posthouse rule (\{.*\})\n/m.exec(rest)
    if (!m) break
    const end = rest.indexOf(closes, m.index)
    let rule: Rule | null = null
    try { rule = valid(JSON.parse(m[1])) } catch { /* somebody changed it: it is theirs now */ }
    if (end < 0 || !rule) { // keep as it is, and go on behind it
      const stop = end < 0 ? rest.length : end + closes.length
      out.push({ rule: null, text: rest.slice(0, stop) })
      rest = rest.slice(stop)
      continue
    }
    // A line that did not end was ended by us.
    const before = rest.slice(0, m.index - (/^\{"joined":true,/.test(m[1]) && m.index > 0 ? 1 : 0))
    if (before) out.push({ rule: null, text: before })
    out.push({ rule, text: rest.slice(m.index, end + closes.length) })
    rest = rest.slice(end + closes.length)
  }
  if (rest) out.push({ rule: null, text: rest })
  const merged: Segment[] = []
  for (const s of out) { const l = merged[merged.length - 1]; if (l && !l.rule && !s.rule) l.text += s.text; else merged.push(s) }
  return merged
}

function valid(r: any): Rule {
  if (typeof r?.id !== 'string' || !Array.isArray(r.conditions) || !Array.isArray(r.actions)) throw new Error('not a rule')
  return { id: r.id, name: String(r.name || ''), on: r.on !== false, all: r.all !== false, conditions: r.conditions, actions: r.actions }
}

const quote = (s: string) => `"${s.replace(/[\r\n]+/g, ' ').replace(/(["\\])/g, '\\$1')}"`

function test(c: Condition): string {
  const not = c.how === 'not' ? 'not ' : '', match = c.how === 'is' ? ':is' : ':contains'
  switch (c.field) {
    case 'from': return `${not}address :all ${match} "from" ${quote(c.value)}`
    case 'to': return `${not}address :all ${match} ["to", "cc"] ${quote(c.value)}`
    case 'subject': return `${not}header ${match} "subject" ${quote(c.value)}`
    case 'list': return `${not}header :contains "list-id" ${quote(c.value)}`
    case 'larger': return `${not}size :over ${Math.max(1, Math.round(+c.value || 1))}M`
    case 'attachment': return `${not}header :mime :anychild :contains "content-disposition" "attachment"`
  }
}

// write makes the script: names says how a mailbox is called.
export function write(segments: Segment[], path: (id: string) => string): string {
  const require = new Set<string>()
  let body = ''
  for (const s of segments) {
    const joined = !!s.rule && body !== '' && !body.endsWith('\n')
    body += s.rule ? (joined ? '\n' : '') + block(s.rule, path, require, joined) : s.text
  }
  if (!require.size) return body
  return `${needs}require [${[...require].sort().map(quote).join(', ')}];\n${closes}${body}`
}

function block(r: Rule, path: (id: string) => string, require: Set<string>, joined: boolean): string {
  const lines: string[] = [], act = (name: string, line: string) => { if (name) require.add(name); lines.push('  ' + line) }
  for (const a of r.actions) {
    const to = a.box ? quote(path(a.box)) : '"Archive"'
    switch (a.do) {
      case 'move': act('fileinto', `fileinto ${to};`); break
      case 'label': require.add('copy'); act('fileinto', `fileinto :copy ${to};`); break
      case 'archive': act('fileinto', `fileinto ${quote(path('archive'))};`); break
      case 'trash': act('fileinto', `fileinto ${quote(path('trash'))};`); break
      case 'read': act('imap4flags', 'addflag "\\\\Seen";'); break
      case 'star': act('imap4flags', 'addflag "\\\\Flagged";'); break
      case 'stop': act('', 'stop;'); break
    }
  }
  // Flags come before the message is filed: fileinto takes those that are set.
  lines.sort((a, b) => rank(a) - rank(b))
  if (r.conditions.some((c) => c.field === 'attachment')) require.add('mime')
  const tests = r.conditions.map(test)
  const code = !r.on || !tests.length ? '' : `if ${tests.length === 1 ? tests[0] : `${r.all ? 'allof' : 'anyof'} (${tests.join(',\n  ')})`} {\n${lines.join('\n')}\n}\n`
  return `${opens}${JSON.stringify(joined ? { joined, ...r } : r)}\n${code}${closes}`
}
const rank = (l: string) => (l.includes('addflag') ? 0 : l.includes(':copy') ? 1 : l.includes('fileinto') ? 2 : 3)

// filterOf is the query that finds what a rule would have matched.
export function filterOf(r: Rule): any {
  const one = (c: Condition): any => {
    const f = c.field === 'list' ? { header: ['List-Id', c.value] } : c.field === 'larger' ? { minSize: Math.round((+c.value || 1) * 1048576) } : c.field === 'attachment' ? { hasAttachment: true }
      : c.field === 'to' ? { operator: 'OR', conditions: [{ to: c.value }, { cc: c.value }] } : { [c.field]: c.value }
    return c.how === 'not' ? { operator: 'NOT', conditions: [f] } : f
  }
  const list = r.conditions.filter((c) => c.value.trim() || c.field === 'attachment').map(one)
  return list.length ? (list.length === 1 ? list[0] : { operator: r.all ? 'AND' : 'OR', conditions: list }) : null
}

// patchOf is what a rule does, as a change of messages that are there already.
export function patchOf(r: Rule, role: (name: string) => string | undefined): Record<string, unknown> | null {
  const p: Record<string, unknown> = {}
  let to = ''
  for (const a of r.actions) {
    if (a.do === 'read') p['keywords/$seen'] = true
    if (a.do === 'star') p['keywords/$flagged'] = true
    if (a.do === 'label' && a.box) p[`mailboxIds/${a.box}`] = true
    if (a.do === 'move' && a.box) to = a.box
    if (a.do === 'archive' || a.do === 'trash') to = role(a.do) || ''
  }
  if (to) { for (const k in p) if (k.startsWith('mailboxIds/')) delete p[k]; p.mailboxIds = { [to]: true, ...Object.fromEntries(r.actions.filter((a) => a.do === 'label' && a.box).map((a) => [a.box!, true])) } }
  return Object.keys(p).length ? p : null
}

// proposed is the rule for mail like this.
export function proposed(e: { from: { name?: string | null; email: string }[] | null; subject: string | null; list?: string | null }): Rule {
  const list = e.list?.match(/<([^>]+)>/)?.[1] || e.list?.trim()
  const c: Condition = list ? { field: 'list', how: 'contains', value: list } : { field: 'from', how: 'contains', value: e.from?.[0]?.email || '' }
  return { id: crypto.randomUUID().slice(0, 8), name: list ? list.split('.')[0] : e.from?.[0]?.name || e.from?.[0]?.email || '', on: true, all: true, conditions: [c], actions: [{ do: 'archive' }] }
}

export const pathOf = (boxes: Mailbox[]) => (id: string): string => {
  const b = boxes.find((x) => x.id === id || x.role === id)
  if (!b) return 'INBOX'
  const up = b.parentId ? boxes.find((x) => x.id === b.parentId) : undefined
  return up ? `${pathOf(boxes)(up.id)}/${b.name}` : b.name
}

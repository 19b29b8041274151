// What a search can be narrowed down by: terms of its own language, each with how many
// conversations it would leave. The server counts; people and mailboxes are those of the rows that are known.
import { client, pick } from '../jmap/client'
import { inAccount, ofAccount } from '../jmap/accounts'
import { mail } from './mail.svelte'
import { boxName, queryFor } from './ui.svelte'

export interface Facet { term: string; name: string; said: boolean /* a text of the client */; n: number }

const quoted = (s: string) => (/[\s()]/.test(s) ? `"${s.replaceAll('"', '')}"` : s)
const fixed = [{ term: 'is:unread', name: 'Unread' }, { term: 'has:attachment', name: 'With attachment' }, { term: 'newer_than:7d', name: 'Last 7 days' }, { term: 'newer_than:1y', name: 'Last 12 months' }]

// narrowed is a search with a term more; of alternatives it is about all.
export const narrowed = (search: string, term: string) => `${/(^|\s)OR(\s|$)/.test(search) ? `(${search})` : search} ${term}`
export const holds = (search: string, term: string) => ` ${search} `.includes(` ${term} `)
export const without = (search: string, term: string) => ` ${search} `.replace(` ${term} `, ' ').trim()

// often are the three that most of the known rows have.
function often(list: [term: string, name: string][]): [string, string][] {
  const n = new Map<string, number>(), names = new Map(list)
  for (const [term] of list) n.set(term, (n.get(term) || 0) + 1)
  return [...n].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([term]) => [term, names.get(term)!])
}

export async function facets(search: string, filter: string, total: number, t: (s: string) => string): Promise<Facet[]> {
  const rows = mail.query.ids.slice(0, 200).map((id) => mail.email(id)).filter((e) => !!e)
  const people = often(rows.flatMap((e) => (e.from || []).slice(0, 1).map((p): [string, string] => [`from:${quoted(p.email.toLowerCase())}`, p.name || p.email])))
  const boxes = often(rows.filter((e) => !ofAccount(e.id)).flatMap((e) => mail.boxes.filter((b) => e.mailboxIds[b.id]).map((b): [string, string] => [`in:${quoted(b.role || b.name)}`, boxName(b, t)])))
  const all = [...fixed.map((f) => ({ ...f, said: true })), ...people.map(([term, name]) => ({ term, name, said: false })), ...boxes.map(([term, name]) => ({ term, name, said: false }))]
  const counted = await Promise.all(all.filter((f) => !holds(search, f.term)).map(async (f) => {
    const asked = queryFor('search', narrowed(search, f.term), filter)
    const out = await client.read(asked.map((x) => ['Email/query', { ...inAccount(x.account), filter: x.filter, collapseThreads: true, calculateTotal: true, limit: 1 }]))
    return { ...f, n: asked.reduce((n, _, i) => { try { return n + (pick(out, i).total || 0) } catch { return n } }, 0) }
  }))
  // What all have or none has narrows nothing down.
  return counted.filter((f) => f.n > 0 && f.n < total)
}
// chosen are the terms of facets that a search has, to be taken out again.
export const chosen = (search: string) => (search.match(/(?:^|\s)(?:from|in):(?:"[^"]*"|[^\s()"]+)(?=\s|$)|(?:^|\s)(?:is:unread|has:attachment|newer_than:7d|newer_than:1y)(?=\s|$)/g) || []).map((x) => x.trim())

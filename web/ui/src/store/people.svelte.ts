// People that one writes with: from contacts, and from what was sent and received. Who asks in a view is
// asked again when more is known.
import { mail } from './mail.svelte'
import { client, pick } from '../jmap/client'
import { t } from '../kit/i18n'
import type { Address } from '../jmap/types'

// all are the addresses of a group, written one after the other.
export interface Person { name: string; email: string; n: number; all?: string }
const known = new Map<string, Person>()
const written = new Set<string>()
let asked = false, learned = false
let rev = $state(0) // counts what was learnt

function add(a: Address, n: number) {
  const k = a.email.toLowerCase(), old = known.get(k)
  if (!/^[^@\s]+@[^@\s]+$/.test(a.email)) return
  if (old) { old.n += n; if (!old.name && a.name) old.name = a.name } else known.set(k, { name: a.name || '', email: a.email, n })
}

// learn asks once whom one wrote to of late.
export async function learn() {
  if (asked || !mail.ready) return
  asked = true
  await null // the view that asks first is drawn without waiting
  for (const e of mail.emails.values()) for (const a of e.from || []) if (!/no-?reply|bounce|mailer-daemon/i.test(a.email)) add(a, 1)
  const sent = mail.box('sent')
  if (!sent) return
  try {
    const out = await client.read([['Email/query', { filter: { inMailbox: sent.id }, sort: [{ property: 'receivedAt', isAscending: false }], limit: 300 }], ['Email/get', { '#ids': { resultOf: 0, name: 'Email/query', path: '/ids' }, properties: ['to', 'cc'] }]])
    for (const e of pick(out, 1).list) for (const a of [...(e.to || []), ...(e.cc || [])]) { add(a, 5); written.add(a.email.toLowerCase()) }
    learned = true
    await contacts()
    held = true
  } catch { setTimeout(() => { asked = false; rev++ }, 2000) } // whoever waits asks again
  rev++
}

// forget asks for the address book anew: it changed.
export async function forget() {
  if (!held) return
  held = false
  for (const [k, p] of known) if (p.all) known.delete(k)
  try { await contacts() } catch { /* what was known remains */ }
  held = true
  rev++
}
let held = false

// contacts adds the addresses of the address book, before those of history.
async function contacts() {
  const out = await client.read([['ContactCard/query', { sort: [{ property: 'updated', isAscending: false }], limit: 400 }], ['ContactCard/get', { '#ids': { resultOf: 0, name: 'ContactCard/query', path: '/ids' }, properties: ['uid', 'kind', 'members', 'name', 'emails'] }]])
  try {
    const list = pick(out, 1).list as { uid: string; kind: string; members: Record<string, boolean> | null; name?: { full?: string; components?: { value: string }[] } | null; emails?: Record<string, { address: string }> | null }[]
    const by = new Map<string, string>()
    for (const c of list) {
      const name = c.name?.full || c.name?.components?.map((x) => x.value).join(' ') || null, all = Object.values(c.emails || {})
      for (const e of all) if (!known.get(e.address.toLowerCase())?.n || !(known.get(e.address.toLowerCase())!.n >= 20)) add({ name, email: e.address }, 20)
      if (all.length) by.set(c.uid, name ? `"${name.replace(/["\\]/g, '\\$&')}" <${all[0].address}>` : all[0].address)
    }
    for (const c of list) {
      const all = c.kind === 'group' ? Object.keys(c.members || {}).map((u) => by.get(u)).filter((x): x is string => !!x) : []
      if (all.length) known.set('group ' + c.uid, { name: c.name?.full || '', email: t('{n, plural, one {# contact} other {# contacts}}', { n: all.length }), n: 30, all: all.join(', ') })
    }
  } catch { /* a server without contacts: history remains */ }
}

export function people(text: string, groups = false): Person[] {
  learn()
  rev
  const w = text.toLowerCase().trim()
  const hit = (p: { name: string; email: string }) => p.email.toLowerCase().startsWith(w) ? 3 : p.name.toLowerCase().split(/\s+/).some((x) => x.startsWith(w)) ? 2 : w.length > 2 && (p.email + p.name).toLowerCase().includes(w) ? 1 : 0
  return [...known.values()].filter((p) => (groups || !p.all) && hit(p)).sort((a, b) => hit(b) - hit(a) || b.n - a.n).slice(0, 8)
}
export const knownDomains = () => new Set([...known.values()].filter((p) => !p.all).map((p) => p.email.split('@')[1].toLowerCase()))
// wroteTo reports whether one wrote to an address; stranger that one certainly did not.
export const wroteTo = (email: string) => written.has(email.toLowerCase())
export const stranger = (email: string) => (rev >= 0 && learned && !wroteTo(email) && !mail.identities.some((i) => i.email.toLowerCase() === email.toLowerCase()))

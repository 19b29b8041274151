// The address book: all cards in short, in order; one in full when it is looked at. A change
// is a list of cards as they were and as they shall be, so that it can be undone.
import { client, pick, JMAPError } from '../jmap/client'
import { mail } from './mail.svelte'
import { ui, compose, openCard } from './ui.svelte'
import { announce, toast } from './toasts.svelte'
import { forget } from './people.svelte'
import { titled, own, isGroup, addressesOf, changed, merge, twins, list, type Card } from './card'
import { language, t } from '../kit/i18n'
import { why } from '../kit/why'

const short = ['uid', 'kind', 'name', 'organizations', 'emails', 'members', 'nicknames']
const batch = 400
export type Change = [from: Card | null, to: Card | null]

class Contacts {
  all = $state.raw<Card[]>([])
  ready = $state(false)
  failed = $state(false)
  rev = $state(0) // counts changes of cards in full
  private state = ''
  private full = new Map<string, Card>() // by uid
  private running: Promise<unknown> | null = null
  private next: Promise<unknown> | null = null
  private tail: Promise<unknown> = Promise.resolve()
  private open = 0 // changes that the server has not confirmed

  readonly groups = $derived(this.all.filter(isGroup))
  readonly people = $derived(this.all.filter((c) => !isGroup(c)))
  readonly twins = $derived(twins(this.all))
  byUID(uid: string) { return this.all.find((c) => c.uid === uid) }

  // sync brings the book up to what the server has now; the first time it loads it. What is
  // under way may have asked before: then it asks once more.
  sync(): Promise<unknown> {
    if (this.open) return this.tail.then(() => this.sync())
    if (this.running) return (this.next ??= this.running.then(() => { this.next = null; return this.sync() }))
    return (this.running = (this.ready ? this.follow() : this.load()).then(() => { this.failed = false }, () => { this.failed = !this.ready }).finally(() => (this.running = null)))
  }

  private async load() {
    const all: Card[] = []
    let state = ''
    for (let position = 0; ; position += batch) {
      const out = await client.read([['ContactCard/query', { sort: [{ property: 'created' }], position, limit: batch }], ['ContactCard/get', { '#ids': { resultOf: 0, name: 'ContactCard/query', path: '/ids' }, properties: short }]])
      const r = pick(out, 1)
      state ||= r.state
      all.push(...r.list)
      if (r.list.length < batch) break
    }
    this.state = state
    this.full.clear()
    this.put(all)
    this.ready = true
    if (all.length >= batch) await this.follow() // what changed while it was read
  }

  private async follow() {
    for (let more = true; more; ) {
      const ids = (path: string) => ({ '#ids': { resultOf: 0, name: 'ContactCard/changes', path }, properties: short })
      const out = await client.read([['ContactCard/changes', { sinceState: this.state, maxChanges: batch }], ['ContactCard/get', ids('/created')], ['ContactCard/get', ids('/updated')]])
      let ch: any
      try { ch = pick(out, 0) } catch (e) {
        if (!(e instanceof JMAPError)) throw e
        this.ready = false
        return this.load()
      }
      more = ch.hasMoreChanges
      const fresh: Card[] = [...pick(out, 1).list, ...pick(out, 2).list], gone = new Set<string>([...ch.destroyed, ...fresh.map((c) => c.id)])
      this.state = ch.newState
      if (!gone.size) continue
      const uids = new Set(fresh.map((c) => c.uid))
      for (const c of this.all) if (gone.has(c.id)) uids.add(c.uid)
      for (const u of uids) this.full.delete(u)
      this.put([...this.all.filter((c) => !gone.has(c.id) && !(c.id.startsWith('new') && uids.has(c.uid))), ...fresh])
      this.rev++
      forget()
    }
  }

  private put(cards: Card[]) {
    const by = new Intl.Collator(language(), { numeric: true, sensitivity: 'base' }), keys = new Map(cards.map((c) => [c, titled(c)]))
    this.all = [...cards].sort((a, b) => by.compare(keys.get(a)!, keys.get(b)!) || (a.id < b.id ? -1 : 1))
  }

  card(uid: string): Card | undefined { this.rev; return this.full.get(uid) }
  // get loads cards in full, by id.
  async get(ids: string[]): Promise<Card[]> {
    const out: Card[] = []
    for (let i = 0; i < ids.length; i += batch) out.push(...(pick(await client.read([['ContactCard/get', { ids: ids.slice(i, i + batch) }]]), 0).list as Card[]).map(clean))
    for (const c of out) this.full.set(c.uid, c)
    return out
  }
  // look has cards in full, by uid.
  async look(uids: string[]): Promise<Card[]> {
    const lack = uids.filter((u) => !this.full.has(u)).map((u) => this.byUID(u)?.id).filter((id): id is string => !!id)
    await this.get(lack)
    if (lack.length) this.rev++
    return uids.map((u) => this.full.get(u)).filter((c): c is Card => !!c)
  }

  // act makes changes at once, tells the server, and can be undone like everything.
  // there says that the server has them already.
  act(changes: Change[], label: string, there = false) {
    if (!changes.length) return
    mail.act(new Map(), label, [], { also: (done) => { if (there) there = false; else void this.apply(done ? changes : changes.map(([a, b]): Change => [b, a]).reverse()) } })
  }

  private apply(changes: Change[]): Promise<unknown> {
    this.open++
    const cards = new Map(this.all.map((c) => [c.uid, c]))
    for (const [from, to] of changes) {
      const uid = (to || from)!.uid, old = cards.get(uid)
      if (to) { const c = { ...to, id: old?.id || 'new' + uid }; cards.set(uid, c); this.full.set(uid, c) } else { cards.delete(uid); this.full.delete(uid) }
    }
    this.put([...cards.values()])
    this.rev++
    const now = this.tail.then(() => this.send(changes))
    this.tail = now.catch(() => null)
    return now.catch((e) => { toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true); this.ready = false; this.full.clear() })
      .finally(() => { this.open--; forget(); if (!this.open) void this.sync() })
  }

  private async send(changes: Change[]) {
    for (let i = 0; i < changes.length; i += batch) {
      const create: Record<string, unknown> = {}, update: Record<string, unknown> = {}, destroy: string[] = [], uids = new Map<string, string>()
      for (const [n, [from, to]] of changes.slice(i, i + batch).entries()) {
        const uid = (to || from)!.uid, id = this.ids.get(uid) || [from?.id, this.byUID(uid)?.id].find((x) => x && !x.startsWith('new'))
        if (!to) { if (id) destroy.push(id); this.ids.delete(uid) }
        else if (from && id) { const p = changed(from, to); if (Object.keys(p).length) update[id] = p }
        else { const { id: _, ...rest } = to; create['c' + n] = rest; uids.set('c' + n, uid) }
      }
      const r = pick(await client.write([['ContactCard/set', { create, update, destroy }]]), 0)
      for (const [k, c] of Object.entries((r.created || {}) as Record<string, { id: string }>)) {
        const uid = uids.get(k)!
        this.ids.set(uid, c.id)
        this.all = this.all.map((x) => (x.uid === uid ? { ...x, id: c.id } : x))
        const f = this.full.get(uid)
        if (f) this.full.set(uid, { ...f, id: c.id })
      }
      const refused = [r.notCreated, r.notUpdated, r.notDestroyed].flatMap((x) => Object.values(x || {}) as { type: string; description?: string }[]).filter((x) => x.type !== 'notFound')
      if (refused.length) throw new JMAPError(refused[0].type, refused[0].description)
    }
  }
  private ids = new Map<string, string>() // of what was made here, by uid
}
const clean = (c: Card): Card => Object.fromEntries(Object.entries(c).filter(([, v]) => v !== null)) as Card
export const contacts = new Contacts()
export const fresh = (): Card => ({ id: '', uid: `urn:uuid:${crypto.randomUUID()}`, kind: 'individual' })

// targets are the cards that an action is about: the selection, else what is open.
export const targets = () => (ui.cards.length ? ui.cards : ui.card ? [ui.card] : [])

export async function remove(uids = targets()) {
  try {
    const cards = await contacts.look(uids)
    if (uids.includes(ui.card)) openCard(ui.cards.length ? '' : nextOf(ui.card), true)
    ui.cards = []
    contacts.act(cards.map((c): Change => [c, null]), cards.length === 1 && isGroup(cards[0]) ? t('Group {name} deleted', { name: titled(cards[0]) }) : t('Deleted {n, plural, one {# contact} other {# contacts}}', { n: cards.length }))
    if (uids.includes(ui.group)) ui.group = ''
  } catch (e) { toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true) }
}
// withAddress are the people that have an address.
export const withAddress = (address: string) => contacts.people.filter((c) => addressesOf(c).some((a) => a.toLowerCase() === address.toLowerCase()))

// forgetAddress takes an address out of the contacts, and those that are nothing without it.
export async function forgetAddress(address: string) {
  try {
    const cards = await contacts.look(withAddress(address).map((c) => c.uid))
    contacts.act(cards.map((c): Change => {
      const emails = Object.fromEntries(Object.entries(c.emails || {}).filter(([, e]) => e.address.toLowerCase() !== address.toLowerCase()))
      return [c, Object.keys(emails).length || Object.keys(c.phones || {}).length ? { ...c, emails } : null]
    }), t('{address} is no longer in the contacts', { address }))
  } catch (e) { toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true) }
}
let shown: Card[] = [] // the list as it stands on the screen
export const show = (l: Card[]) => { shown = l }
function nextOf(uid: string) { const i = shown.findIndex((c) => c.uid === uid); return (shown[i + 1] || shown[i - 1])?.uid || '' }
export function step(by: number) {
  const i = shown.findIndex((c) => c.uid === (ui.card || ui.cardFocus)), to = shown[i < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.max(0, Math.min(shown.length - 1, i + by))]
  if (!to) return
  ui.cardFocus = to.uid
  if (ui.card && !ui.cardEdit) openCard(to.uid, true)
  else if (!ui.card) openCard(to.uid)
}
export function select(uid = ui.card || ui.cardFocus) { if (uid) ui.cards = ui.cards.includes(uid) ? ui.cards.filter((x) => x !== uid) : [...ui.cards, uid] }
export const selectAll = () => { ui.cards = shown.map((c) => c.uid) }

// reach are the addresses of people and of the members of groups, each once.
export function reach(uids: string[]): { name: string; email: string }[] {
  const out = new Map<string, { name: string; email: string }>(), seen = new Set<string>()
  const add = (uid: string) => {
    const c = contacts.byUID(uid)
    if (!c || seen.has(uid)) return
    seen.add(uid)
    if (isGroup(c)) { for (const [m, on] of list(c.members)) if (on) add(m); return }
    const email = addressesOf(c)[0]
    if (email) out.set(email.toLowerCase(), { name: own(c), email })
  }
  for (const u of uids) add(u)
  return [...out.values()]
}
const quoted = (a: { name: string; email: string }) => (a.name ? `"${a.name.replace(/["\\]/g, '\\$&')}" <${a.email}>` : a.email)
export function write(uids = targets().length ? targets() : ui.group ? [ui.group] : []) {
  const to = reach(uids)
  if (uids.length && !to.length) toast(t('No address is known.'), undefined, true)
  else compose({ to: to.map(quoted).join(', ') })
}

export async function addTo(group: string, uids: string[], on = true) {
  const [g] = await contacts.look([group])
  if (!g) return
  const members = { ...g.members }
  for (const u of uids) if (on && u !== group) members[u] = true; else delete members[u]
  if (JSON.stringify(members) === JSON.stringify(g.members || {})) return
  contacts.act([[g, { ...g, members }]], on ? t('Added to {name}', { name: titled(g) }) : t('Taken out of {name}', { name: titled(g) }))
}
export function newGroup(name: string, uids: string[] = []) {
  const g: Card = { ...fresh(), kind: 'group', name: { full: name }, members: Object.fromEntries(uids.map((u) => [u, true])) }
  contacts.act([[null, g]], t('Group {name} made', { name }))
  ui.group = g.uid
}
export async function rename(group: string, name: string) {
  const [g] = await contacts.look([group])
  if (g && name && name !== own(g)) contacts.act([[g, { ...g, name: { full: name } }]], t('Group renamed'))
}

// unite makes one card of two; groups that held the other hold the one.
export async function unite(a: Card, b: Card) {
  const [x, y] = await contacts.look([a.uid, b.uid])
  if (!x || !y) return
  const holding = await contacts.look(contacts.groups.filter((g) => g.members?.[y.uid]).map((g) => g.uid))
  contacts.act([[x, merge(x, y)], [y, null], ...holding.map((g): Change => { const members: Record<string, boolean> = { ...g.members, [x.uid]: true }; delete members[y.uid]; return [g, { ...g, members }] })], t('Made one contact of two'))
}

// take brings cards in from a file: vCard, which the server reads, or JSContact.
export async function take(file: File) {
  try {
    const text = await file.text()
    const json = /^\s*[[{]/.test(text) ? cardsOf(JSON.parse(text)) : null
    await contacts.sync()
    if (json) {
      if (!json.length) throw new Error(t('there is no contact in this file'))
      const known = new Set(contacts.all.map((c) => c.uid)), old = new Map((await contacts.look(json.map((c) => c.uid).filter((u) => known.has(u)))).map((c) => [c.uid, c]))
      contacts.act(json.map((c): Change => { const o = old.get(c.uid); return [o || null, { ...c, id: o?.id || '' }] }), t('Brought in {n, plural, one {# contact} other {# contacts}}', { n: json.length }))
      return
    }
    // Those that the file replaces are kept, for undo.
    const uids = [...text.matchAll(/^UID[^:\r\n]*:(.*)$/gim)].map((m) => m[1].trim()).filter((u) => contacts.byUID(u))
    const old = await contacts.look(uids)
    const blob = await client.upload(new Blob([text], { type: 'text/vcard' }))
    const r = pick(await client.write([['ContactCard/import', { blobId: blob.blobId }]]), 0)
    await contacts.sync()
    const came = await contacts.get(r.ids)
    if (!came.length) throw new Error(t('there is no contact in this file'))
    const before = new Map(old.map((c) => [c.uid, c]))
    contacts.act(came.map((c): Change => [before.get(c.uid) || null, c]), t('Brought in {n, plural, one {# contact} other {# contacts}}', { n: came.length }), true)
    if (r.notImported) announce(t('{n, plural, one {# could not be read} other {# could not be read}}', { n: r.notImported }))
  } catch (e) { toast(t('The file could not be read: {why}', { why: why(e) }), undefined, true) }
}
// give makes a vCard file of what is chosen, or of the group that is shown, or of all.
export async function give(uids = ui.cards.length ? ui.cards : ui.group ? [ui.group, ...Object.keys(contacts.byUID(ui.group)?.members || {})] : []) {
  try {
    const ids = uids.map((u) => contacts.byUID(u)?.id).filter((id) => id && !id.startsWith('new'))
    const r = pick(await client.write([['ContactCard/export', uids.length ? { ids } : {}]]), 0)
    const a = document.createElement('a')
    a.href = client.downloadURL(r.blobId, 'contacts.vcf', 'text/vcard'); a.download = 'contacts.vcf'
    a.click()
    announce(t('{n, plural, one {# contact} other {# contacts}}', { n: r.exported }))
  } catch (e) { toast(t('The file could not be made: {why}', { why: why(e) }), undefined, true) }
}
function cardsOf(j: any): Card[] {
  const all = Array.isArray(j) ? j : Array.isArray(j.cards) ? j.cards : [j]
  return all.filter((c: any) => c && typeof c === 'object' && (c['@type'] === 'Card' || c.name || c.emails)).slice(0, 5000).map((c: any) => { const { id: _, '@type': __, version: ___, ...rest } = c; return { ...fresh(), ...rest, uid: String(c.uid || fresh().uid) } })
}

// history is what went to and fro with addresses.
export interface Seen { id: string; threadId: string; subject: string | null; preview: string; receivedAt: string; from: { name?: string | null; email: string }[] | null }
export async function history(addresses: string[]): Promise<{ last: Seen[]; total: number; written: string; heard: string }> {
  const some = addresses.slice(0, 5), any = (conditions: unknown[]) => (conditions.length === 1 ? conditions[0] : { operator: 'OR', conditions }), sort = [{ property: 'receivedAt', isAscending: false }], sent = mail.box('sent')?.id
  const to = any(some.flatMap((a) => [{ to: a }, { cc: a }])), from = any(some.map((a) => ({ from: a })))
  const get = (n: number, properties: string[]) => ['Email/get', { '#ids': { resultOf: n, name: 'Email/query', path: '/ids' }, properties }] as [string, any]
  const out = await client.read([
    ['Email/query', { filter: any([from, to]), sort, collapseThreads: true, limit: 6, calculateTotal: true }], get(0, ['threadId', 'subject', 'preview', 'receivedAt', 'from']),
    ['Email/query', { filter: sent ? { operator: 'AND', conditions: [{ inMailbox: sent }, to] } : to, sort, limit: 1 }], get(2, ['receivedAt']),
    ['Email/query', { filter: from, sort, limit: 1 }], get(4, ['receivedAt']),
  ])
  const at = (i: number) => pick(out, i).list[0]?.receivedAt || ''
  return { last: (pick(out, 1).list as Seen[]).sort((a, b) => (a.receivedAt < b.receivedAt ? 1 : -1)), total: pick(out, 0).total, written: at(3), heard: at(5) }
}
export const searchFor = (addresses: string[]) => addresses.slice(0, 5).map((a) => 'with:' + a).join(' OR ')

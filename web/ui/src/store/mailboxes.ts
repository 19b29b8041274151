// Mailboxes made, named, moved, removed and shared (RFC 9670): each change with its inverse.
import { client, pick, JMAPError } from '../jmap/client'
import { mail } from './mail.svelte'
import { toast } from './toasts.svelte'
import { t } from '../kit/i18n'
import { why } from '../kit/why'
import type { Mailbox } from '../jmap/types'

type Rights = Record<string, boolean>
export type Level = 'none' | 'read' | 'write' | 'all'
const read = ['mayReadItems', 'maySetSeen'], write = [...read, 'mayAddItems', 'mayRemoveItems', 'maySetKeywords', 'maySubmit'], all = [...write, 'mayCreateChild', 'mayRename', 'mayDelete', 'mayAdmin']
const rightsOf = (l: Level): Rights | null => (l === 'none' ? null : Object.fromEntries((l === 'read' ? read : l === 'write' ? write : all).map((r) => [r, true])))
export const levelOf = (r: Rights): Level => (r.mayAdmin ? 'all' : r.mayAddItems || r.mayRemoveItems ? 'write' : r.mayReadItems ? 'read' : 'none')
export interface Guest { id: string; name: string; email: string; level: Level; sends: boolean }

async function set(method: string, args: object): Promise<any> {
  const r = pick(await client.write([[method, args as any]]), 0)
  const no = Object.values({ ...r.notCreated, ...r.notUpdated, ...r.notDestroyed } as Record<string, { type: string; description?: string }>)[0]
  if (no) throw new JMAPError(no.type, no.description)
  return r
}
const refused = (e: unknown) => toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true)

// change makes a change and says how it is taken back.
function change(label: string, there: () => Promise<unknown>, back: () => Promise<unknown>): Promise<unknown> {
  let tail: Promise<unknown> = Promise.resolve()
  mail.act(new Map(), label, [], { also: (done) => { tail = tail.then(done ? there : back).catch(refused).then(() => mail.sync()) } })
  return tail
}
const update = (id: string, patch: object) => set('Mailbox/set', { update: { [id]: patch } })

export function create(name: string, parentId: string | null) {
  let id = ''
  return change(t('Made the mailbox {name}', { name }), async () => { id = (await set('Mailbox/set', { create: { n: { name, parentId } } })).created.n.id }, () => set('Mailbox/set', { destroy: [id] }))
}
export const rename = (b: Mailbox, name: string) => change(t('Renamed {old} to {name}', { old: b.name, name }), () => update(b.id, { name }), () => update(b.id, { name: b.name }))
export const place = (b: Mailbox, parentId: string | null) => change(t('Moved the mailbox {name}', { name: b.name }), () => update(b.id, { parentId }), () => update(b.id, { parentId: b.parentId }))

// remove takes a mailbox away. What is in others as well only leaves it, the rest goes to the trash.
export async function remove(b: Mailbox) {
  if (!b.totalEmails) {
    let id = b.id
    return change(t('Removed the mailbox {name}', { name: b.name }), () => set('Mailbox/set', { destroy: [id] }), async () => { id = (await set('Mailbox/set', { create: { n: { name: b.name, parentId: b.parentId } } })).created.n.id })
  }
  try {
    const trash = mail.box('trash')
    if (!trash) throw new JMAPError('notFound')
    await job({ operator: 'AND', conditions: [{ inMailbox: b.id }, { inMailboxOtherThan: [b.id] }] }, { [`mailboxIds/${b.id}`]: null })
    await job({ inMailbox: b.id }, { mailboxIds: { [trash.id]: true } })
    await set('Mailbox/set', { destroy: [b.id] })
    await mail.sync()
    toast(t('Removed the mailbox {name}', { name: b.name }))
  } catch (e) { refused(e); mail.sync() }
}
// emptyBox deletes for ever what is in a mailbox; what is in another one as well only leaves it.
export async function emptyBox(b: Mailbox, name: string, tell: (done: number, total: number) => void) {
  try {
    await job({ operator: 'AND', conditions: [{ inMailbox: b.id }, { inMailboxOtherThan: [b.id] }] }, { [`mailboxIds/${b.id}`]: null })
    const n = await job({ inMailbox: b.id }, null, tell)
    toast(t('{box} is empty: {n, plural, one {# message} other {# messages}} deleted for ever', { box: name, n }))
  } catch (e) { refused(e) }
  await mail.sync()
  mail.query.refresh()
}
async function job(filter: object, patch: object | null, tell?: (done: number, total: number) => void): Promise<number> {
  const { jobId } = pick(await client.write([['Email/bulk', patch ? { filter, patch } : { filter, destroy: true }]]), 0)
  for (let n = 0; n < 2000; n++) {
    const j = pick(await client.read([['Job/get', { ids: [jobId] }]]), 0).list[0]
    if (!j || j.status === 'done') return j?.done || 0
    tell?.(j.done, j.total)
    if (j.status === 'failed') throw new JMAPError('serverFail')
    await new Promise((r) => setTimeout(r, 300))
  }
  return 0
}

// guests are those who see a mailbox, and who may send in one's name.
export async function guests(box: string): Promise<Guest[]> {
  const out = await client.read([['Mailbox/get', { ids: [box], properties: ['shareWith'] }], ['Identity/get', { ids: ['default'], properties: ['shareWith'] }]])
  const rights: Record<string, Rights> = pick(out, 0).list[0]?.shareWith || {}, sends: Record<string, Rights> = pick(out, 1).list[0]?.shareWith || {}
  const ids = [...new Set([...Object.keys(rights), ...Object.keys(sends)])]
  if (!ids.length) return []
  const list = pick(await client.read([['Principal/get', { ids }]]), 0).list as { id: string; name: string; email: string | null }[]
  return ids.map((id) => { const p = list.find((x) => x.id === id); return { id, name: p?.name || '', email: p?.email || '', level: levelOf(rights[id] || {}), sends: !!sends[id]?.maySend } })
}

// grant gives somebody rights on a mailbox or an identity, beside what others have.
async function grant(type: 'Mailbox' | 'Identity', id: string, who: string, rights: Rights | null) {
  const now: Record<string, Rights> = { ...pick(await client.read([[`${type}/get`, { ids: [id], properties: ['shareWith'] }]]), 0).list[0]?.shareWith }
  if (rights) now[who] = rights; else delete now[who]
  await set(`${type}/set`, { update: { [id]: { shareWith: Object.keys(now).length ? now : null } } })
}

// find is the principal of an address; '' if there is none here.
export const find = async (email: string): Promise<string> => pick(await client.read([['Principal/query', { filter: { email } }]]), 0).ids[0] || ''

const nameOf = (g: { name: string; email: string }) => g.email || g.name
export function share(box: Mailbox, name: string, g: Pick<Guest, 'id' | 'name' | 'email' | 'level'>, level: Level) {
  const to = (l: Level) => () => grant('Mailbox', box.id, g.id, rightsOf(l))
  return change(level === 'none' ? t('{box} is not shared with {who} any more', { box: name, who: nameOf(g) }) : t('{box} is shared with {who}', { box: name, who: nameOf(g) }), to(level), to(g.level))
}

// letSend lets somebody send in one's name: what is written and sent so is kept in Drafts and Sent,
// which are shared for it.
export function letSend(g: Pick<Guest, 'id' | 'name' | 'email'>, on: boolean) {
  const boxes = ['drafts', 'sent'].map((role) => mail.box(role)!).filter(Boolean), had = new Map<string, Rights | null>()
  const sends = (yes: boolean) => grant('Identity', 'default', g.id, yes ? { maySend: true } : null)
  const there = async () => {
    if (on) for (const b of pick(await client.read([['Mailbox/get', { ids: boxes.map((b) => b.id), properties: ['shareWith'] }]]), 0).list) {
      had.set(b.id, b.shareWith?.[g.id] || null)
      if (!b.shareWith?.[g.id]?.mayAddItems) await grant('Mailbox', b.id, g.id, rightsOf('write'))
    }
    await sends(on)
  }
  const back = async () => { await sends(!on); for (const [id, r] of had) await grant('Mailbox', id, g.id, r) }
  return change(on ? t('{who} may send in your name', { who: nameOf(g) }) : t('{who} may not send in your name any more', { who: nameOf(g) }), there, back)
}

// Addresses: identities of one's own. One that comes back has another id: it is found by its address.
type Own = { email: string; name: string; textSignature?: string; htmlSignature?: string }
const there = async (o: Own) => { await set('Identity/set', { create: { n: o } }); await identities() }
const away = async (email: string) => { await identities(); const ids = mail.identities.filter((i) => i.email === email && i.mayDelete).map((i) => i.id); if (ids.length) await set('Identity/set', { destroy: ids }); await identities() }
const identities = async () => { mail.identities = pick(await client.read([['Identity/get', { ids: null }]]), 0).list }

export const addAddress = (email: string, name: string) => change(t('Added the address {email}', { email }), () => there({ email, name }), () => away(email))
export function removeAddress(i: Own) {
  const o = { email: i.email, name: i.name, textSignature: i.textSignature, htmlSignature: i.htmlSignature }
  return change(t('Removed the address {email}', { email: i.email }), () => away(i.email), () => there(o))
}

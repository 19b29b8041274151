// What one writes: kept in the browser at each change, at the server every few seconds.
import { client, pick, JMAPError } from '../jmap/client'
import { mail } from './mail.svelte'
import { putAside, asides } from './aside'
import { compose, go, type ComposeSeed } from './ui.svelte'
import { toast } from './toasts.svelte'
import { settings } from './settings.svelte'
import { scheduledMailbox, moves, utc, sayHeld, noteSending, takeBack, loadHeld } from './scheduled.svelte'
import { t, whenDate } from '../kit/i18n'
import { why } from '../kit/why'
import { ofAccount, bare, inAccount, byAccount } from '../jmap/accounts'
import type { Address } from '../jmap/types'

export interface File { blobId: string; type: string; name: string; size: number; cid?: string | null; disposition?: string | null; was?: string } // was: its id before it was copied
export interface Draft {
  key: string; id: string; account?: string // of somebody else, in whose name it is written
  to: string; cc: string; bcc: string; subject: string; html: string; text: string; plain: boolean; from: string
  files: File[]; inReplyTo?: string[]; references?: string[]; answered?: { id: string; keyword: string }
  messageId?: string // the same for every version of the draft: by it one finds another version
  receipt?: boolean // one asks to be told when it is read
  lost?: string // text of an attempt to save it whose answer did not come
  cameTo?: string // our address that the mail came to which this answers
}

// seedOf is how a draft is opened again.
export const seedOf = (d: Draft): ComposeSeed => ({ key: d.key, draft: d.id || undefined, to: d.to, cc: d.cc, bcc: d.bcc, subject: d.subject, html: d.html, text: d.plain ? d.text : undefined, parts: d.files,
  inReplyTo: d.inReplyTo, references: d.references, answered: d.answered, from: d.from, account: d.account, receipt: d.receipt, messageId: d.messageId, cameTo: d.cameTo })

export function parseAddresses(s: string): Address[] {
  const out: Address[] = []
  for (const m of s.matchAll(/\s*(?:(?:"((?:[^"\\]|\\.)*)"|([^<>,;"]*?))\s*<\s*([^<>\s]+)\s*>|([^,;\s<>]+@[^,;\s<>]+|[^,;]+))\s*(?:[,;]|$)/g)) {
    const email = (m[3] || m[4] || '').trim()
    if (email) out.push({ name: (m[1]?.replace(/\\(.)/g, '$1') ?? m[2] ?? '').trim() || null, email })
  }
  return out
}

type Kept = Draft & { at: number; of?: string; closed?: boolean } // closed: its window was closed before the server had it
const large = new Map<string, string>() // on the way to the database
const aside = new Set<string>() // drafts that the database has
// keep writes a draft down on this device at once, and reports whether it did: what is too much for the
// local storage, as pictures may be, goes to the database a moment later.
export async function keep(d: Draft, closed = false): Promise<boolean> {
  const name = 'draft-' + d.key, at = Date.now(), text = JSON.stringify({ ...d, at, of: client.account, closed } satisfies Kept)
  try { localStorage.setItem(name, text); if (aside.has(name)) { aside.delete(name); large.delete(name); void putAside(name) } return true } catch { /* full */ }
  const under = large.has(name)
  large.set(name, text)
  aside.add(name)
  if (under) return true // it is taken along
  try {
    for (let last; (last = large.get(name)) !== undefined; ) { await putAside(name, last); if (large.get(name) === last) large.delete(name) }
    if (aside.has(name)) localStorage.removeItem(name) // an older one
    return true
  } catch { large.delete(name); return false }
}
export function forget(key: string) {
  const name = 'draft-' + key
  localStorage.removeItem(name)
  large.delete(name)
  if (aside.delete(name)) void putAside(name)
}

// hold marks a draft as open in this window, so that another one does not open it by itself.
export function hold(key: string): () => void {
  let release = () => {}
  navigator.locks?.request('draft-' + key, () => new Promise<void>((r) => (release = r))).catch(() => {})
  return () => release()
}

// keptDrafts are the drafts of this person that are on this device and open in no window.
async function keptDrafts(): Promise<Kept[]> {
  const texts: string[] = Object.keys(localStorage).filter((k) => k.startsWith('draft-')).map((k) => localStorage.getItem(k)!), by = new Map<string, Kept>()
  for (const [name, text] of await asides('draft-')) { aside.add(name); texts.push(text) }
  if (!texts.length) return []
  const open = new Set(((await navigator.locks?.query().catch(() => null))?.held || []).map((l) => l.name))
  for (const text of texts) try {
    const d: Kept = JSON.parse(text)
    if (Date.now() - d.at > 7 * 864e5) forget(d.key)
    else if ((!d.of || d.of === client.account) && !open.has('draft-' + d.key) && !(by.get(d.key)?.at! > d.at)) by.set(d.key, d)
  } catch { /* not one of ours */ }
  return [...by.values()]
}

// restoreDrafts opens again what was being written when the page went away, as many as fit.
export async function restoreDrafts() {
  for (const d of (await keptDrafts()).filter((d) => !d.closed).slice(-3)) compose(seedOf(d))
  addEventListener('online', () => void saveClosed())
  void saveClosed()
}

// putAway is for a window that closes before the server has what stands in it: that stays on
// this device, and goes to the server as soon as it is there.
export async function putAway(d: Draft): Promise<boolean> {
  const there = await keep(d, true)
  void saveClosed()
  return there
}

// saveClosed brings the server what windows left here that were closed; what it refuses is opened again.
// It reports what is left.
let bringing: Promise<number> | null = null, later = 0
export function saveClosed(): Promise<number> {
  return (bringing ??= (async () => {
    let left = 0, brought = false
    for (const d of (await keptDrafts()).filter((d) => d.closed)) {
      const done = await alone('draft-' + d.key, async () => {
        try {
          const o = await store(d, senderOf(d))
          if (o?.id && !o.sent) toast(t('Another version of this draft is in Drafts.'), undefined, false, 20)
          forget(d.key)
          return (brought = true)
        } catch (e) {
          if (e instanceof JMAPError && !/^server|^http-|^rateLimit|^overQuota/.test(e.type)) { toast(t('Not saved: {why}', { why: why(e) }), undefined, true); compose(seedOf(d)) }
          return false
        }
      })
      if (!done) left++
    }
    clearTimeout(later)
    if (left) later = window.setTimeout(saveClosed, 30_000)
    if (brought) void mail.sync()
    return left
  })().finally(() => { bringing = null }))
}
const senderOf = (d: Draft): Address => ({ name: mail.sender(d.account || '', d.from)?.name || null, email: d.from || client.user })
// alone does something while no other window does it.
async function alone(name: string, f: () => Promise<boolean>): Promise<boolean> {
  if (!navigator.locks) return f()
  return navigator.locks.request(name, { ifAvailable: true }, (lock) => (lock ? f() : true))
}

// writing are the windows in which one writes: each saves what it has, and says whether the server has it.
export const writing = new Set<() => Promise<boolean>>()
// unsaved counts what the server does not have yet, after one more attempt.
export async function unsaved(): Promise<number> {
  const all = await Promise.all([...writing].map((f) => f().catch(() => false)))
  return all.filter((x) => !x).length + await saveClosed()
}

// flow writes text as format=flowed: long lines end with a space where they are cut.
export function flow(text: string): string {
  return text.split('\n').map((l) => {
    if (l.startsWith('>')) return l
    if (l !== '-- ') l = l.replace(/ +$/, '')
    if (/^( |From )/.test(l)) l = ' ' + l
    if (l.length <= 76) return l
    const out: string[] = []
    let line = ''
    for (const w of l.split(' ')) {
      if (line && line.length + w.length > 74) { out.push(line + ' '); line = /^(>| |From )/.test(w) ? ' ' + w : w } else line = line ? line + ' ' + w : w
    }
    return [...out, line].join('\r\n')
  }).join('\r\n')
}

// inlined uploads the pictures that are in the HTML as data, and names them as parts.
async function inlined(d: Draft): Promise<string> {
  let html = d.html.replace(/\u200b/g, '')
  for (const m of [...html.matchAll(/src="(data:(image\/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=]+))"/g)]) {
    const bin = Uint8Array.from(atob(m[3]), (c) => c.charCodeAt(0))
    const up = await client.upload(new Blob([bin], { type: m[2] }), undefined, undefined, d.account)
    const cid = `img-${up.blobId.replace(/[^\w]/g, '').slice(-24)}@posthouse`
    if (!d.files.some((f) => f.cid === cid)) d.files.push({ blobId: up.blobId, type: m[2], name: `image-${d.files.length + 1}.${m[2].slice(6).replace('jpeg', 'jpg')}`, size: bin.length, cid, disposition: 'inline' })
    html = html.replace(m[1], 'cid:' + cid)
  }
  return html
}

const part = (f: File) => ({ blobId: f.blobId, type: f.type, name: f.name, disposition: f.disposition || 'attachment', ...(f.cid ? { cid: f.cid } : {}) })

async function object(d: Draft, from: Address): Promise<any> {
  const drafts = mail.box('drafts', d.account)
  if (d.account && !drafts) throw new JMAPError('notFound', t('Your rights on this mailbox do not allow that.'))
  const o: any = {
    mailboxIds: { [drafts?.id || mail.boxes[0].id]: true }, keywords: { $draft: true, $seen: true }, from: [from],
    to: parseAddresses(d.to), cc: parseAddresses(d.cc), bcc: parseAddresses(d.bcc), subject: d.subject,
  }
  for (const k of ['to', 'cc', 'bcc']) if (!o[k].length) delete o[k]
  d.messageId ||= `${crypto.randomUUID()}@${from.email.split('@')[1] || 'localhost'}`
  o.messageId = [d.messageId]
  if (d.inReplyTo?.length) o.inReplyTo = d.inReplyTo
  if (d.references?.length) o.references = d.references.slice(-30)
  if (d.receipt) o['header:Disposition-Notification-To:asAddresses'] = [from]
  const html = d.plain ? '' : await inlined(d)
  o.bodyValues = { t: { value: d.plain ? flow(d.text) : d.text } }
  const text = { partId: 't' } as any
  const inline = d.plain ? [] : d.files.filter((f) => f.cid && html.includes('cid:' + f.cid)), rest = d.files.filter((f) => !inline.includes(f) && f.disposition !== 'inline')
  let body: any = text
  if (d.plain) text['header:Content-Type'] = ' text/plain; charset=utf-8; format=flowed'
  else text.type = 'text/plain'
  if (!d.plain) {
    o.bodyValues.h = { value: `<!doctype html><html><body>${html}</body></html>` }
    const h = { partId: 'h', type: 'text/html' }
    body = { type: 'multipart/alternative', subParts: [text, inline.length ? { type: 'multipart/related', subParts: [h, ...inline.map(part)] } : h] }
  }
  o.bodyStructure = rest.length ? { type: 'multipart/mixed', subParts: [body, ...rest.map(part)] } : body
  return o
}

// store saves a draft; the version before goes in the same request. Where that was gone
// already, somebody else changed the draft: elsewhere says what became of it, and this
// version is kept beside it.
export async function store(d: Draft, from: Address): Promise<Elsewhere | null> {
  await bring(d)
  const o = await object(d, from), old = d.id, where = inAccount(d.account || ''), moved = !!old && ofAccount(old) !== (d.account || '')
  let out = await client.write([['Email/set', { ...where, create: { d: o }, ...(old && !moved ? { destroy: [old] } : {}) }]])
  let r = pick(out, 0)
  if (r.notCreated?.d && d.plain && o.bodyStructure) { // a server that does not take the header form
    const walk = (p: any) => { delete p['header:Content-Type']; p.subParts?.forEach(walk) }
    walk(o.bodyStructure)
    out = await client.write([['Email/set', { ...where, create: { d: o } }]])
    r = pick(out, 0)
  }
  if (r.notCreated?.d) throw new JMAPError(r.notCreated.d.type, r.notCreated.d.description)
  d.id = r.created.d.id
  keep(d)
  if (moved) pick(await client.write([['Email/set', { ...inAccount(ofAccount(old)), destroy: [old] }]]), 0)
  const other = d.lost !== undefined || old && r.notDestroyed?.[old] ? await elsewhere(d) : null
  delete d.lost
  return other
}

// bring copies files into the account that the draft is in.
async function bring(d: Draft) {
  const to = d.account || '', away = d.files.filter((f) => ofAccount(f.blobId) !== to).map((f) => f.blobId)
  for (const [from, blobIds] of byAccount(away)) {
    const r = pick(await client.write([['Blob/copy', { accountId: to || client.account, fromAccountId: from || client.account, blobIds }]]), 0)
    for (const f of d.files) {
      const id = ofAccount(f.blobId) === from && r.copied?.[bare(f.blobId)]
      if (id) f.was = f.blobId
      if (id) f.blobId = to ? `${to}~${id}` : id
    }
    const no = Object.values((r.notCopied || {}) as Record<string, { type: string; description?: string }>)[0]
    if (no) throw new JMAPError(no.type, no.description)
  }
}

// Elsewhere is a version of a draft that was not saved here: null id means that there is none.
export interface Elsewhere { id: string | null; sent: boolean }

// elsewhere looks for another version of a draft. One that says the same is ours, from an
// attempt whose answer was lost, and goes.
export async function elsewhere(d: Draft): Promise<Elsewhere | null> {
  const a = d.account || '', drafts = mail.box('drafts', a)?.id || '', places = ['drafts', 'sent', 'scheduled'].map((role) => mail.box(role, a)?.id || '').filter(Boolean)
  const out = await client.read([
    ['Email/query', { ...inAccount(a), filter: { operator: 'AND', conditions: [{ operator: 'OR', conditions: places.map((inMailbox) => ({ inMailbox })) }, { header: ['Message-ID', d.messageId] }] }, sort: [{ property: 'receivedAt', isAscending: false }], limit: 5 }],
    ['Email/get', { ...inAccount(a), '#ids': { resultOf: 0, name: 'Email/query', path: '/ids' }, properties: ['id', 'mailboxIds', 'subject', 'textBody', 'bodyValues'], fetchTextBodyValues: true }],
  ])
  const plain = (s: string) => s.replace(/\s+/g, '')
  for (const e of pick(out, 1).list as any[]) {
    if (e.id === d.id) continue
    const text = (e.textBody || []).map((p: any) => e.bodyValues?.[p.partId]?.value || '').join('\n')
    if (d.id && e.mailboxIds[drafts] && ((e.subject || '') === d.subject && plain(text) === plain(d.text) || d.lost !== undefined && plain(text) === plain(d.lost))) { await client.write([['Email/set', { ...inAccount(a), destroy: [e.id] }]]); return null }
    return { id: e.id, sent: !e.mailboxIds[drafts] }
  }
  return d.id && await exists(d.id) ? null : { id: null, sent: false }
}
async function exists(id: string) { return pick(await client.read([['Email/get', { ...inAccount(ofAccount(id)), ids: [id], properties: ['id'] }]]), 0).list.length > 0 }

export async function discard(d: Draft) {
  forget(d.key)
  if (d.id) { await client.write([['Email/set', { ...inAccount(ofAccount(d.id)), destroy: [d.id] }]]); mail.sync() }
}

interface How { archive?: () => void; at?: Date }

// send hands a stored draft over. For some seconds, or until the time that was chosen, it
// can be taken back: the server holds it, so this page may close meanwhile.
export async function send(d: Draft, from: Address, how: How = {}) {
  const other = await store(d, from)
  if (other?.id && !other.sent) toast(t('Another version of this draft is in Drafts.'), { text: t('Show the other one'), run: () => compose({ draft: other.id! }) }, false, 20)
  const account = d.account || '', identity = mail.sender(account, from.email) || mail.senders.find((i) => ofAccount(i.id) === account) || mail.identities[0]
  const drafts = mail.box('drafts', account)?.id || ''
  const session = await client.sessionObject()
  const most = session.accounts?.[account || client.account]?.accountCapabilities?.['urn:ietf:params:jmap:submission']?.maxDelayedSend || 0
  const seconds = settings.undoSeconds, held = seconds > 0 && most >= seconds
  const rcpt = [...parseAddresses(d.to), ...parseAddresses(d.cc), ...parseAddresses(d.bcc)].map((a) => ({ email: a.email, parameters: null }))
  async function submit(parameters: Record<string, string> | null, update: unknown, onSend?: unknown) {
    const out = await client.write([['EmailSubmission/set', {
      ...inAccount(account), create: { s: { identityId: identity.id, emailId: d.id, envelope: { mailFrom: { email: from.email, parameters }, rcptTo: rcpt }, ...(onSend ? { onSend } : {}) } },
      onSuccessUpdateEmail: { '#s': update },
    }]])
    const r = pick(out, 0)
    if (r.notCreated?.s) throw new JMAPError(r.notCreated.s.type, r.notCreated.s.description || (r.notCreated.s.invalidRecipients || []).join(', '))
    forget(d.key)
    if (d.answered?.keyword === '$answered') dispatchEvent(new CustomEvent('did', { detail: 'reply' }))
    if (d.answered && mail.may(mail.email(d.answered.id), 'maySetKeywords')) mail.act(new Map([[d.answered.id, { [`keywords/${d.answered.keyword}`]: true as const }]]), '', [], { undo: false, say: false })
    how.archive?.()
    mail.sync()
    return r.created.s.id as string
  }
  const again = () => compose(seedOf(d))
  if (how.at) {
    const box = await scheduledMailbox(account)
    const id = await submit({ HOLDUNTIL: utc(how.at) }, { ...(box ? { [`mailboxIds/${drafts}`]: null, [`mailboxIds/${box}`]: true } : {}), 'keywords/$draft': null }, moves(box || drafts, account))
    await loadHeld()
    toast(t('Goes out {when}', { when: whenDate(how.at) }), [{ text: t('Undo'), run: () => takeBack(id, d.id, again) }, { text: t('Show'), run: () => go(box || drafts) }], false, 10)
    return
  }
  const update = moves(drafts, account)
  if (held) {
    const id = await submit({ HOLDFOR: String(seconds) }, update)
    noteSending({ id, emailId: d.id, until: Date.now() + seconds * 1000 })
    sayHeld(id, d.id, seconds, again)
  } else if (seconds > 0) {
    let done = false
    const now = async () => {
      if (done) return
      done = true
      removeEventListener('pagehide', now)
      try { await submit(null, update); toast(t('Sent')) } catch (e) { toast(t('Not sent: {why}', { why: why(e) }), undefined, true); again() }
    }
    const n = setTimeout(now, seconds * 1000)
    addEventListener('pagehide', now)
    toast(t('Sending'), [{ text: t('Undo'), run: () => { done = true; clearTimeout(n); removeEventListener('pagehide', now); again() } }, { text: t('Send now'), run: () => { clearTimeout(n); now() } }], false, seconds)
  } else {
    await submit(null, update)
    toast(t('Sent'))
  }
}
export type { ComposeSeed }

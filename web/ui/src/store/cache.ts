// What stays on this device: rows and messages that were seen, and the actions that the
// server has not confirmed. One tab writes, in whole steps: the records, and the state of
// the server that they belong to. All of it goes at sign-out.
import type { Email, Mailbox, Identity } from '../jmap/types'

export interface Meta { boxes: Mailbox[]; identities: Identity[]; state: string; synced: number; shared?: Other[] }
export interface Other { id: string; name: string; boxes: Mailbox[]; state: string; identities: Identity[] } // an account of somebody else
export interface List { key: string; ids: string[]; total: number; state: string; at: number }
export interface Queued { n?: number; uid?: string /* of queue */; changes: [string, any][]; hides: string[]; key: string; label: string }
export interface Restored { meta: Meta; list?: List; emails: Email[]; threads: [string, string[]][] }

const rows = 400 // of each list
const most = 5000 // messages
const bodies = 500
export const screen = 64 // rows of the first picture

let db: IDBDatabase | null = null
let owner = ''
export let leader = false
let led: Promise<unknown> = Promise.resolve() // it is known who leads

const asked = <T>(r: IDBRequest<T>) => new Promise<T>((done, fail) => { r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error) })
const ended = (tx: IDBTransaction) => new Promise<void>((done, fail) => { tx.oncomplete = () => done(); tx.onerror = tx.onabort = () => fail(tx.error) })

// open opens what is kept of an account. Where the browser keeps nothing, nothing is kept.
export function open(account: string): Promise<void> {
  if (!account || opened && owner === account) return opened || Promise.resolve()
  owner = account
  opened = openNow(account)
  first = opened.then(readFirst)
  return opened
}
let opened: Promise<void> | null = null
async function openNow(account: string) {
  try {
    const r = indexedDB.open('mail-' + account, 1)
    r.onupgradeneeded = () => {
      const d = r.result
      d.createObjectStore('meta')
      d.createObjectStore('lists', { keyPath: 'key' })
      d.createObjectStore('emails', { keyPath: 'e.id' }).createIndex('at', 'at')
      d.createObjectStore('threads')
      d.createObjectStore('queue', { keyPath: 'n', autoIncrement: true })
    }
    db = await asked(r)
    db.onversionchange = () => { db?.close(); db = opened = null }
  } catch { db = null }
  led = lead(account) // what is read does not wait for it
}
async function lead(account: string) {
  leader = await new Promise<boolean>((done) => {
    if (!db || !navigator.locks) return done(!!db)
    navigator.locks.request('mail-' + account, { ifAvailable: true }, (lock) => { done(!!lock); return lock ? new Promise<void>(() => {}) : undefined }).catch(() => done(false))
  })
  // The page before this one may just be going: what it left is taken up when it is gone.
  if (db && !leader) navigator.locks?.request('mail-' + account, async () => { last = true; takeUp(); return new Promise<void>(() => {}) }).catch(() => {})
}
let last = false, takeUp = () => {}
// onLast is called when no other window of the account is open any more.
export const onLast = (f: () => void) => { if (last) f(); else takeUp = f }

// first is what the page before showed at the end, whole, in one record: it is read while the page is made.
interface First { meta: Meta; first?: Omit<Restored, 'meta'> }
let first: Promise<First | null> = Promise.resolve(null)
async function readFirst(): Promise<First | null> {
  if (!db) return null
  try {
    const s = db.transaction('meta').objectStore('meta')
    const [meta, first] = await Promise.all([asked<Meta | undefined>(s.get('meta')), asked<First['first'] | undefined>(s.get('first'))])
    return meta ? { meta, first } : null
  } catch { return null }
}
// begin is restore for the first picture.
export async function begin(key: (m: Meta) => string): Promise<Restored | null> {
  const f = await first
  if (!f) return null
  const k = key(f.meta)
  return f.first?.list?.key === k ? { meta: f.meta, ...f.first } : restore(() => k)
}

export async function restore(key: (m: Meta) => string): Promise<Restored | null> {
  if (!db) return null
  try {
    const tx = db.transaction(['meta', 'lists', 'emails', 'threads'])
    const meta: Meta | undefined = await asked(tx.objectStore('meta').get('meta'))
    if (!meta) return null
    const list: List | undefined = await asked(tx.objectStore('lists').get(key(meta)))
    const ids = list?.ids.slice(0, screen) || [], out: Restored = { meta, list, emails: [], threads: [] }
    const emails = tx.objectStore('emails'), threads = tx.objectStore('threads')
    const first = (await Promise.all(ids.map((id) => asked<{ e: Email } | undefined>(emails.get(id))))).map((x) => x?.e)
    const full = first.findIndex((e) => !e)
    if (list && full >= 0) { list.ids.length = full; first.length = full }
    const found = await Promise.all(first.map(async (e) => [e!.threadId, (await asked<string[]>(threads.get(e!.threadId))) || [e!.id]] as [string, string[]]))
    out.threads = found
    const rest = [...new Set(found.flatMap((x) => x[1]))].filter((id) => !ids.includes(id))
    const more = await Promise.all(rest.map((id) => asked<{ e: Email } | undefined>(emails.get(id))))
    out.emails = [...first, ...more.map((x) => x?.e)].filter((e): e is Email => !!e)
    return out
  } catch { return null }
}

// pick finds messages of a thread that are kept.
export async function thread(id: string): Promise<{ ids: string[]; emails: Email[] } | null> {
  if (!db) return null
  try {
    const tx = db.transaction(['emails', 'threads'])
    const ids: string[] = (await asked(tx.objectStore('threads').get(id))) || []
    const emails = (await Promise.all(ids.map((e) => asked<{ e: Email } | undefined>(tx.objectStore('emails').get(e))))).map((x) => x?.e).filter((e): e is Email => !!e)
    return ids.length && emails.length === ids.length ? { ids, emails } : null
  } catch { return null }
}

export async function lists(key: string): Promise<{ list: List; emails: Email[]; threads: [string, string[]][] } | null> {
  const r = await restore(() => key)
  return r?.list ? { list: r.list, emails: r.emails, threads: r.threads } : null
}

// write is one step: what changed since the last, and where the server was then.
export async function write(o: { meta: Meta; list?: List; others?: List[]; first?: Omit<Restored, 'meta' | 'list'>; emails: Email[]; gone: string[]; threads: [string, string[]][]; anew: boolean }): Promise<boolean> {
  if (!db || !leader) return true
  try {
    const tx = db.transaction(['meta', 'lists', 'emails', 'threads'], 'readwrite'), at = Date.now()
    const emails = tx.objectStore('emails'), threads = tx.objectStore('threads'), kept = tx.objectStore('lists')
    if (o.anew) { emails.clear(); threads.clear(); kept.clear() }
    tx.objectStore('meta').put(o.meta, 'meta')
    // The records of first are as of the state of meta, or it is not there.
    if (o.list && o.first) tx.objectStore('meta').put({ list: { ...o.list, ids: o.list.ids.slice(0, screen) }, ...o.first }, 'first')
    else tx.objectStore('meta').delete('first')
    for (const l of [...(o.list ? [o.list] : []), ...(o.others || [])]) kept.put({ ...l, ids: l.ids.slice(0, rows) })
    for (const id of o.gone) emails.delete(id)
    // In small pieces, so that no frame waits; the transaction stays open as long as each follows on the one before.
    await pieces(o.emails, (e) => emails.put({ e, at }))
    await pieces(o.threads, ([id, ids]) => threads.put(ids, id))
    await ended(tx)
    await bound()
    return true
  } catch { return false }
}

async function pieces<T>(list: T[], put: (x: T) => IDBRequest): Promise<void> {
  for (let i = 0, r: IDBRequest | undefined; i < list.length; i++) {
    r = put(list[i])
    if (i % 25 === 24) await asked(r)
  }
}

// dropAccount lets go of what is kept of somebody else's account.
export async function dropAccount(account: string) {
  const begin = account + '~', all = IDBKeyRange.bound(begin, begin + '\uffff')
  try {
    if (db && leader) {
      const tx = db.transaction(['lists', 'emails', 'threads'], 'readwrite')
      for (const name of ['lists', 'emails', 'threads']) tx.objectStore(name).delete(all)
      await ended(tx)
    }
    const c = await caches.open('bodies')
    for (const r of await c.keys()) if (new URL(r.url).pathname.startsWith(`/r/${account}/`)) await c.delete(r)
  } catch { /* nothing is kept */ }
}

// bound lets go of what was written longest ago.
async function bound() {
  const tx = db!.transaction(['emails', 'lists'], 'readwrite'), emails = tx.objectStore('emails')
  let over = (await asked(emails.count())) - most
  if (over > 0) {
    emails.index('at').openCursor().onsuccess = (e) => {
      const c = (e.target as IDBRequest<IDBCursorWithValue | null>).result
      if (c && over-- > 0) { c.delete(); c.continue() }
    }
  }
  const kept: List[] = await asked(tx.objectStore('lists').getAll())
  for (const l of kept.sort((a, b) => b.at - a.at).slice(20)) tx.objectStore('lists').delete(l.key)
  await ended(tx)
}

// queue keeps an action until it is confirmed. It stands in the local storage until the
// database has it: a page that ends takes what it was writing there with it.
export async function queue(q: Queued): Promise<number | undefined> {
  if (!db) return
  const now = Date.now(), uid = `${now}-${String(order++).padStart(6, '0')}-${crypto.randomUUID()}`, key = `action-${owner}-${uid}`
  own.add(uid)
  try { localStorage.setItem(key, JSON.stringify({ ...q, uid })) } catch { /* full: the database alone has to do */ }
  try {
    const n = await enqueue({ ...q, uid })
    localStorage.removeItem(key)
    return n
  } catch { return }
}
let order = 0
const own = new Set<string>() // actions of this window, which it carries out itself
async function enqueue(q: Queued): Promise<number> {
  const tx = db!.transaction('queue', 'readwrite'), r = tx.objectStore('queue').add(q)
  await ended(tx)
  return Number(r.result)
}
// unwritten are the actions that no database got any more.
async function unwritten(known: Queued[]): Promise<Queued[]> {
  const prefix = `action-${owner}-`, out: Queued[] = []
  for (const key of Object.keys(localStorage).filter((k) => k.startsWith(prefix)).sort()) {
    const q: Queued = JSON.parse(localStorage.getItem(key)!)
    if (own.has(q.uid!)) continue
    if (!known.some((k) => k.uid === q.uid)) out.push({ ...q, n: await enqueue(q) })
    localStorage.removeItem(key)
  }
  return out
}
export function unqueue(n: number | undefined) {
  if (!db || n === undefined) return
  try { db.transaction('queue', 'readwrite').objectStore('queue').delete(n) } catch { /* closed by a sign-out */ }
}
export async function queued(): Promise<Queued[]> {
  await led
  if (!db || !leader && !last) return []
  try {
    const all: Queued[] = await asked(db.transaction('queue').objectStore('queue').getAll())
    const left = [...all, ...(await unwritten(all))].filter((q) => !own.has(q.uid!))
    for (const q of left) own.add(q.uid!)
    return left
  } catch { return [] }
}

// Bodies are pages of their own; the worker shows them in the frame when the server is away.
let wiped = false
export async function keepBody(url: string) {
  if (wiped || !('caches' in window) || !navigator.serviceWorker?.controller) return
  try {
    if (await caches.match(url, { cacheName: 'bodies' })) return
    const r = await fetch(url, { headers: { 'X-Posthouse-Client': '1' } })
    if (!r.ok || wiped) return
    const c = await caches.open('bodies')
    await c.put(url, r)
    if (wiped) { await caches.delete('bodies'); return }
    const all = await c.keys()
    for (const old of all.slice(0, Math.max(0, all.length - bodies))) await c.delete(old)
  } catch { /* another time */ }
}

// wipe leaves nothing of anybody on this device.
export async function wipe(ended = true) {
  wiped = ended
  db?.close()
  db = opened = null
  localStorage.clear()
  sessionStorage.clear()
  const all: Promise<unknown>[] = []
  try {
    for (const d of await indexedDB.databases()) if (d.name?.startsWith('mail-')) all.push(new Promise((r) => { const q = indexedDB.deleteDatabase(d.name!); q.onsuccess = q.onerror = q.onblocked = r }))
  } catch { /* none */ }
  if ('caches' in window) for (const k of await caches.keys().catch(() => [])) all.push(caches.delete(k))
  for (const r of (await navigator.serviceWorker?.getRegistrations().catch(() => [])) || []) all.push(r.unregister())
  await Promise.all(all).catch(() => null)
}

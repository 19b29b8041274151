// Files on their way to the server. Each is kept on this device until it has arrived, in
// pieces: where the network went away, or the window, it goes on with the piece that was
// on its way.
import { client, pick, JMAPError } from '../jmap/client'
import { inAccount } from '../jmap/accounts'
import { why } from '../kit/why'
import type { File as Part } from './drafts'

export interface Upload { id: string; name: string; type: string; size: number; part: number; state: 'going' | 'waiting' | 'failed'; why: string }
interface Kept { id: string; key: string; account: string; at: number; name: string; type: string; data: Blob; pieces: string[] } // pieces: the blobs that the server has

const piece = 4e6
const days = 7 // as long as a draft is kept here
const lanes = 3 // the server takes four at once

// turn waits until fewer than that are under way; what it returns ends one's own.
let going = 0
const line: (() => void)[] = []
async function turn(): Promise<() => void> {
  if (going >= lanes) await new Promise<void>((f) => line.push(f))
  going++
  return () => { going--; line.shift()?.() }
}

const asked = <T>(r: IDBRequest<T>) => new Promise<T>((done, fail) => { r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error) })

// shelf is a database of its own: it goes with what else is kept of the account at sign-out.
async function shelf(mode: IDBTransactionMode) {
  const r = indexedDB.open(`mail-files-${client.account}`, 1)
  r.onupgradeneeded = () => r.result.createObjectStore('files', { keyPath: 'id' }).createIndex('key', 'key')
  const db = await asked(r)
  db.onversionchange = () => db.close()
  const tx = db.transaction('files', mode)
  tx.oncomplete = tx.onabort = () => db.close()
  return { files: tx.objectStore('files'), ended: new Promise<void>((done, fail) => { tx.addEventListener('complete', () => done()); tx.addEventListener('abort', () => fail(tx.error)) }) }
}

// dropFiles forgets the files of a draft that is no more.
export async function dropFiles(key: string) {
  try {
    const { files } = await shelf('readwrite')
    for (const id of await asked(files.index('key').getAllKeys(key))) files.delete(id)
  } catch { /* nothing is kept */ }
}

export class Uploads {
  list = $state<Upload[]>([])
  private kept = new Map<string, Kept>()
  private stops = new Map<string, AbortController>()
  private wakes = new Set<() => void>()
  private ended = false

  // done is told of each file that the server has.
  constructor(private key: string, private done: (f: Part) => void) {}

  // begin goes on with what an earlier window left; the returned function ends it.
  begin(): () => void {
    const wake = () => this.wake(), off = () => { for (const s of this.stops.values()) s.abort('offline') }
    addEventListener('online', wake)
    addEventListener('offline', off)
    this.left()
    return () => { this.ended = true; removeEventListener('online', wake); removeEventListener('offline', off); for (const s of this.stops.values()) s.abort('end'); wake() }
  }
  private async left() {
    try {
      const { files } = await shelf('readwrite')
      for (const k of (await asked(files.getAll())) as Kept[]) {
        if (Date.now() - k.at > days * 864e5) files.delete(k.id)
        else if (k.key === this.key && !this.kept.has(k.id)) this.start(k)
      }
    } catch { /* nothing is kept */ }
  }

  add(file: File, account: string) {
    const k: Kept = { id: crypto.randomUUID(), key: this.key, account, at: Date.now(), name: file.name, type: file.type || 'application/octet-stream', data: file, pieces: [] }
    this.keep(k)
    this.start(k)
  }
  get size() { return this.list.reduce((n, u) => n + u.size, 0) }

  stop(id: string) {
    this.stops.get(id)?.abort('stop')
    this.drop(id)
  }
  retry(id: string) { const k = this.kept.get(id); if (k) { this.drop(id, false); this.start(k) } }

  private wake() { for (const f of this.wakes) f(); this.wakes.clear() }
  private start(k: Kept) {
    this.kept.set(k.id, k)
    this.list.push({ id: k.id, name: k.name, type: k.type, size: k.data.size, part: Math.min(1, (k.pieces.length * piece) / Math.max(1, k.data.size)), state: 'going', why: '' })
    this.run(k, this.list[this.list.length - 1])
  }
  private async run(k: Kept, u: Upload) {
    for (let wait = 3000; !this.ended && this.kept.has(k.id); wait = Math.min(60_000, wait * 2)) {
      const over = await turn(), stop = new AbortController()
      this.stops.set(k.id, stop)
      u.state = 'going'
      try {
        if (this.ended || !this.kept.has(k.id)) return
        const blobId = await this.send(k, u, stop.signal)
        if (!this.kept.has(k.id) || this.ended) return
        this.done({ blobId, type: k.type, name: k.name, size: k.data.size })
        this.drop(k.id)
        return
      } catch (e) {
        if (!this.kept.has(k.id) || this.ended) return
        if (e instanceof JMAPError && !/^http-(401|429|5..)$|^server|^rateLimit/.test(e.type)) {
          if (e.type !== 'blobNotFound') { u.state = 'failed'; u.why = why(e); return }
          k.pieces = [] // the server kept them no longer
          this.keep(k)
        }
      } finally { over() }
      u.state = 'waiting'
      await new Promise<void>((go) => { const n = setTimeout(go, wait); this.wakes.add(() => { clearTimeout(n); go() }) })
    }
  }
  // send brings the pieces that are missing, and has the server put them together.
  private async send(k: Kept, u: Upload, stop: AbortSignal): Promise<string> {
    const size = k.data.size, many = Math.max(1, Math.ceil(size / piece))
    while (k.pieces.length < many) {
      const from = k.pieces.length * piece, part = many === 1 ? new Blob([k.data], { type: k.type }) : k.data.slice(from, from + piece, 'application/octet-stream')
      const r = await client.upload(part, (p) => (u.part = (from + p * part.size) / Math.max(1, size)), stop, k.account)
      k.pieces = [...k.pieces, r.blobId]
      u.part = Math.min(1, (from + part.size) / Math.max(1, size))
      if (many > 1) this.keep(k)
    }
    if (many === 1) return k.pieces[0]
    const r = pick(await client.write([['Blob/upload', { ...inAccount(k.account), create: { f: { data: k.pieces.map((blobId) => ({ blobId })), type: k.type } } }]]), 0)
    if (r.notCreated?.f) throw new JMAPError(r.notCreated.f.type, r.notCreated.f.description)
    return r.created.f.id
  }

  // keep writes down how far a file is. Where nothing can be kept it goes on from memory.
  private async keep(k: Kept) {
    try { const { files, ended } = await shelf('readwrite'); files.put({ ...k }); await ended; if (!this.kept.has(k.id) && !this.ended) this.forget(k.id) } catch { /* full, or a private window */ }
  }
  private async forget(id: string) { try { (await shelf('readwrite')).files.delete(id) } catch { /* was not kept */ } }
  private drop(id: string, forget = true) {
    this.list = this.list.filter((u) => u.id !== id)
    this.kept.delete(id)
    this.stops.delete(id)
    if (forget) this.forget(id)
  }
}

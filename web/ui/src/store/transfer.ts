// Mail from files: messages (.eml), mailboxes (mbox), and archives of such (zip). A file is
// read piece by piece, so it may be larger than memory; each message is uploaded as it is.
import { client, pick, JMAPError, Offline } from '../jmap/client'
import { mail } from './mail.svelte'

export interface Progress { read: number; size: number; done: number; failed: number }
const batch = 25
const maxMessage = 50e6
const text = (b: Uint8Array) => new TextDecoder('latin1').decode(b)

// messages finds what is in a file.
async function* messages(file: Blob, name: string, seen: (n: number) => void, depth = 0): AsyncGenerator<Blob | null> {
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer())
  if (head[0] === 0x50 && head[1] === 0x4b && depth === 0) yield* unzipped(file, seen)
  else if (text(head.subarray(0, 5)) === 'From ') yield* mbox(file, depth ? () => {} : seen)
  else if (/\.eml$/i.test(name) || /^[\w-]+:|^Return|^Receiv/.test(text(head))) { yield file; if (!depth) seen(file.size) }
  else yield null
}

// mbox parts a file at its lines "From …" that follow on an empty line. Only where they are is kept.
async function* mbox(file: Blob, seen: (n: number) => void): AsyncGenerator<Blob | null> {
  const step = 4e6
  let begin = -1, line = 0, blank = true, carry = ''
  const cut = async (end: number) => (end - begin > maxMessage ? null : plain(new Uint8Array(await file.slice(begin, end).arrayBuffer())))
  for (let at = 0; at < file.size; at += step) {
    const chunk = carry + text(new Uint8Array(await file.slice(at, at + step).arrayBuffer())), base = at - carry.length
    let from = 0
    for (let nl = chunk.indexOf('\n', from); nl >= 0; nl = chunk.indexOf('\n', from)) {
      line = base + from
      if (blank && chunk.startsWith('From ', from) && /\d\d:\d\d/.test(chunk.slice(from, nl))) {
        if (begin >= 0) yield await cut(line)
        begin = base + nl + 1
      }
      blank = nl === from || nl === from + 1 && chunk[from] === '\r'
      from = nl + 1
    }
    carry = chunk.slice(from)
    if (carry.length > 1e6) { carry = ''; blank = false } // no line of mail
    seen(Math.min(file.size, at + step))
  }
  if (begin >= 0) yield await cut(file.size)
}
// plain takes the quoting of mboxrd away, and gives each line the end that mail has.
function plain(b: Uint8Array): Blob {
  const s = text(b).replace(/\r?\n/g, '\r\n').replace(/^>(>*From )/gm, '$1').replace(/(\r\n)+$/, '\r\n'), out = new Uint8Array(s.length)
  for (let i = 0; i < s.length; i++) { const c = s.charCodeAt(i); out[i] = c < 256 ? c : back.get(c) ?? 63 }
  return new Blob([out], { type: 'message/rfc822' })
}
// What browsers call latin1 is another table from 0x80 to 0x9f.
const back = new Map(Array.from({ length: 32 }, (_, i) => [text(new Uint8Array([0x80 + i])).charCodeAt(0), 0x80 + i] as [number, number]))

// unzipped goes by the list at the end of the archive.
async function* unzipped(file: Blob, seen: (n: number) => void): AsyncGenerator<Blob | null> {
  const tail = new DataView(await file.slice(Math.max(0, file.size - 66_000)).arrayBuffer())
  let end = tail.byteLength - 22
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end--
  if (end < 0) { yield null; return }
  const start = tail.getUint32(end + 16, true), list = new DataView(await file.slice(start, start + tail.getUint32(end + 12, true)).arrayBuffer())
  for (let p = 0; p + 46 <= list.byteLength && list.getUint32(p, true) === 0x02014b50; ) {
    const method = list.getUint16(p + 10, true), size = list.getUint32(p + 20, true), n = list.getUint16(p + 28, true), skip = n + list.getUint16(p + 30, true) + list.getUint16(p + 32, true), local = list.getUint32(p + 42, true)
    const name = new TextDecoder().decode(new Uint8Array(list.buffer, p + 46, n))
    p += 46 + skip
    if (name.endsWith('/') || !/\.(eml|mbox|mbx|txt)$|(^|\/)[^./]+$|:2,\w*$/i.test(name)) continue
    const h = new DataView(await file.slice(local, local + 30).arrayBuffer()), data = local + 30 + h.getUint16(26, true) + h.getUint16(28, true)
    try {
      const raw = file.slice(data, data + size), whole = method === 0 ? raw : method === 8 ? await bounded(raw.stream().pipeThrough(new DecompressionStream('deflate-raw'))) : null
      if (whole) yield* messages(whole, name, () => {}, 1)
      else yield null
    } catch { yield null }
    seen(data + size)
  }
  seen(file.size)
}
// bounded reads what is packed; what grows beyond all measure is not mail.
async function bounded(s: ReadableStream<Uint8Array>): Promise<Blob | null> {
  const parts: Uint8Array[] = [], r = s.getReader()
  for (let n = 0; ; ) {
    const { done, value } = await r.read()
    if (done) return new Blob(parts as BlobPart[])
    n += value.length
    if (n > 500e6) { await r.cancel(); return null }
    parts.push(value)
  }
}

// bring imports files into a mailbox, and answers with the ids of what came.
export async function bring(files: File[], box: string, tell: (p: Progress) => void, stop: AbortSignal): Promise<string[]> {
  const p: Progress = { read: 0, size: files.reduce((n, f) => n + f.size, 0), done: 0, failed: 0 }, ids: string[] = []
  let before = 0, waiting: Promise<string | null>[] = []
  const flush = async () => {
    const blobs = (await Promise.all(waiting)).filter((b): b is string => !!b)
    waiting = []
    if (!blobs.length || stop.aborted) return
    const r = await again(stop, async () => pick(await client.write([['Email/import', { emails: Object.fromEntries(blobs.map((blobId, i) => [`m${i}`, { blobId, mailboxIds: { [box]: true }, keywords: { $seen: true } }])) }]]), 0))
    const made = Object.values((r.created || {}) as Record<string, { id: string }>)
    ids.push(...made.map((x) => x.id))
    p.done += made.length
    p.failed += blobs.length - made.length
    const full = Object.values((r.notCreated || {}) as Record<string, { type: string; description?: string }>).find((x) => x.type === 'overQuota')
    tell(p)
    if (full) throw new JMAPError(full.type, full.description)
  }
  let lanes = [Promise.resolve(), Promise.resolve(), Promise.resolve()] as Promise<unknown>[], turn = 0
  const send = (m: Blob) => { // three at a time
    const i = turn++ % lanes.length, one = lanes[i].then(() => again(stop, () => client.upload(m, undefined, stop))).then((r) => r.blobId, (e) => { if (!(e instanceof JMAPError)) throw e; p.failed++; return null })
    lanes[i] = one.catch(() => null)
    one.catch(() => null)
    return one
  }
  for (const f of files) {
    for await (const m of messages(f, f.name, (n) => { p.read = before + n; tell(p) })) {
      if (stop.aborted) return ids
      if (!m || m.size > maxMessage || !m.size) { p.failed++; continue }
      waiting.push(send(m))
      if (waiting.length >= batch) await flush()
    }
    before += f.size
    p.read = before
  }
  await flush()
  tell(p)
  await mail.sync()
  return ids
}
// again waits for the server where it is away.
async function again<T>(stop: AbortSignal, f: () => Promise<T>): Promise<T> {
  for (let wait = 2000; ; wait = Math.min(30_000, wait * 2)) {
    try { return await f() } catch (e) {
      if (stop.aborted || !(e instanceof Offline)) throw e
      await new Promise((r) => setTimeout(r, wait))
    }
  }
}

// takeBack deletes what was imported.
export async function takeBack(ids: string[]) {
  for (let i = 0; i < ids.length; i += 500) pick(await client.write([['Email/set', { destroy: ids.slice(i, i + 500) }]]), 0)
  await mail.sync()
}

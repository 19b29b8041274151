// What is written on this device and is too much for the local storage: a database of its own,
// which goes with what else is kept of the account at sign-out.
import { client } from '../jmap/client'

const asked = <T>(r: IDBRequest<T>) => new Promise<T>((done, fail) => { r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error) })

async function open<T>(mode: IDBTransactionMode, f: (s: IDBObjectStore) => Promise<T>): Promise<T> {
  const r = indexedDB.open(`mail-aside-${client.account}`, 1)
  r.onupgradeneeded = () => r.result.createObjectStore('texts')
  const db = await asked(r)
  db.onversionchange = () => db.close()
  try {
    const tx = db.transaction('texts', mode), ended = new Promise<void>((done, fail) => { tx.oncomplete = () => done(); tx.onerror = tx.onabort = () => fail(tx.error) })
    const out = await f(tx.objectStore('texts'))
    await ended
    return out
  } finally { db.close() }
}

// putAside keeps a text by its name, or without one keeps none.
export const putAside = (name: string, text?: string): Promise<unknown> => open('readwrite', async (s) => void (text === undefined ? s.delete(name) : s.put(text, name)))

// asides are the texts whose names begin so.
export async function asides(begin: string): Promise<[string, string][]> {
  try {
    if (!(await indexedDB.databases()).some((d) => d.name === `mail-aside-${client.account}`)) return []
    return await open('readonly', async (s) => {
      const [names, texts] = await Promise.all([asked(s.getAllKeys()), asked<string[]>(s.getAll())])
      return names.map((n, i) => [String(n), texts[i]] as [string, string]).filter((x) => x[0].startsWith(begin))
    })
  } catch { return [] }
}

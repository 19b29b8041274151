// The only module that talks to the server: JMAP over fetch, uploads, and the stream
// of changes. One read and one write are under way at a time; calls made within a few
// milliseconds share a request.

import { ofAccount, bare, outgoing, incoming } from './accounts'

export type Args = Record<string, unknown>
export type Invocation = [name: string, args: any, id: string]

export class JMAPError extends Error {
  constructor(public type: string, text?: string) { super(text || type) }
}
export class Offline extends Error {}
export class LoggedOut extends Error {}

export interface Boot { shell?: boolean; account?: string; user?: string; name?: string; people?: { Name: string; Address: string; Password: string }[] }

export const boot: Boot = JSON.parse(document.querySelector<HTMLMetaElement>('meta[name=boot]')?.content || '{}')
// The page of the service worker says nothing of who has logged in: this device knows.
if (boot.shell) try { Object.assign(boot, JSON.parse(localStorage.getItem('session') || '{}')) } catch { /* nobody */ }

const headers = { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }
const using = ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail', 'urn:ietf:params:jmap:submission', 'urn:ietf:params:jmap:vacationresponse', 'urn:ietf:params:jmap:mdn', 'urn:ietf:params:jmap:blob', 'https://posthouse.email/jmap']

interface Waiting { calls: [string, Args][]; done: (r: Invocation[]) => void; fail: (e: unknown) => void }

class Lane {
  waiting: Waiting[] = []
  busy = false
  timer = 0
  constructor(private client: Client) {}

  add(w: Waiting) {
    this.waiting.push(w)
    if (!this.busy && !this.timer) this.timer = window.setTimeout(() => { this.timer = 0; this.flush() }, 2)
  }

  async flush() {
    if (this.busy || !this.waiting.length) return
    this.busy = true
    const batch: Waiting[] = []
    let n = 0
    while (this.waiting.length && (n === 0 || n + this.waiting[0].calls.length <= 16)) {
      const w = this.waiting.shift()!
      n += w.calls.length
      batch.push(w)
    }
    const methodCalls: Invocation[] = []
    batch.forEach((w, b) => w.calls.forEach(([name, args], i) => {
      const fixed: Args = { accountId: this.client.account, ...(args.accountId ? (outgoing(args) as Args) : args) }
      for (const k in fixed) {
        if (k[0] === '#') fixed[k] = { ...(fixed[k] as Args), resultOf: `${b}.${(fixed[k] as any).resultOf}` }
      }
      methodCalls.push([name, fixed, `${b}.${i}`])
    }))
    try {
      const out = await this.client.post({ using: this.client.using, methodCalls })
      const by: Invocation[][] = batch.map(() => [])
      for (const r of out.methodResponses as Invocation[]) {
        const [b, i] = r[2].split('.')
        const account = batch[+b].calls[+i]?.[1].accountId as string | undefined
        by[+b].push([r[0], account && account !== this.client.account ? incoming(r[1], account) : r[1], i])
      }
      batch.forEach((w, b) => w.done(by[b]))
    } catch (e) {
      batch.forEach((w) => w.fail(e))
    }
    this.busy = false
    if (this.waiting.length) this.flush()
  }
}

export class Client {
  account = boot.account || ''
  user = boot.user || ''
  inbox = '' // as the login told it
  hasShared = true // false: the login told that there are no accounts of others
  using = using
  onLoggedOut = () => {}
  onOnline = (_: boolean) => {}
  onSession = () => {} // what the session says has changed
  session: any = null
  private sessionState = ''
  private reads = new Lane(this)
  private writes = new Lane(this)

  async login(username: string, password: string): Promise<{ wait?: number; refused?: string }> {
    let r: Response
    try {
      r = await fetch('/jmap/login', { method: 'POST', headers, body: JSON.stringify({ username, password }) })
    } catch { throw new Offline() }
    if (r.status === 429) return { wait: +(r.headers.get('Retry-After') || 60) }
    if (r.status === 401 || r.status === 403) return { refused: 'wrong' }
    if (!r.ok) return { refused: 'failed' }
    const j = await r.json()
    this.account = j.accountId
    this.user = j.username
    this.inbox = j.inbox || ''
    this.hasShared = j.hasShared !== false
    this.session = null
    this.sessionState = ''
    return {}
  }

  async logout() { await fetch('/jmap/logout', { method: 'POST', headers }).catch(() => null) }

  // bodyURL is where the body of a message is shown.
  bodyURL(id: string) { return `/r/${ofAccount(id) || this.account}/${bare(id)}` }

  // sessionObject is fetched when something first needs it: limits, submission.
  async sessionObject(anew = false) {
    if (!this.session || anew) {
      const r = await fetch('/jmap/session', { headers }).catch(() => null) // asked again when it is needed again
      if (r?.ok) { this.session = await r.json(); this.sessionState = this.session.state }
    }
    return this.session || { capabilities: {}, accounts: {} }
  }

  async post(body: unknown, tries = 3): Promise<any> {
    let r: Response
    try {
      r = await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify(body) })
    } catch {
      this.onOnline(false)
      throw new Offline()
    }
    if (r.status === 401) { this.onLoggedOut(); throw new LoggedOut() }
    if (r.status === 429 && tries > 0) {
      await new Promise((f) => setTimeout(f, Math.min(15, +(r.headers.get('Retry-After') || 5)) * 1000))
      return this.post(body, tries - 1)
    }
    if (r.status >= 502) { this.onOnline(false); throw new Offline() }
    this.onOnline(true)
    const j = await r.json().catch(() => ({}))
    if (r.status === 400 && j.type === 'urn:ietf:params:jmap:error:unknownCapability' && this.using.length > 2) {
      this.using = this.using.slice(0, this.using.length - 1)
      ;(body as any).using = this.using
      return this.post(body)
    }
    if (j.sessionState && j.sessionState !== this.sessionState) {
      const known = this.sessionState
      this.sessionState = j.sessionState
      if (known) this.onSession()
    }
    if (!r.ok) throw new JMAPError(j.type || `http-${r.status}`, j.detail)
    return j
  }

  read(calls: [string, Args][]): Promise<Invocation[]> {
    return new Promise((done, fail) => this.reads.add({ calls, done, fail }))
  }

  write(calls: [string, Args][]): Promise<Invocation[]> {
    return new Promise((done, fail) => this.writes.add({ calls, done, fail }))
  }

  upload(data: Blob, progress?: (part: number) => void, abort?: AbortSignal, account = ''): Promise<{ blobId: string; type: string; size: number }> {
    return new Promise((done, fail) => {
      const x = new XMLHttpRequest()
      x.open('POST', `/jmap/upload/${account || this.account}/`)
      x.setRequestHeader('X-Posthouse-Client', '1')
      x.setRequestHeader('Content-Type', data.type || 'application/octet-stream')
      // A line that went dead says nothing: what does not move for a minute is not waited for.
      let moved = Date.now()
      const watch = setInterval(() => { if (Date.now() - moved > 60_000) x.abort() }, 5000)
      x.onloadend = () => clearInterval(watch)
      x.upload.onprogress = (e) => { moved = Date.now(); progress?.(e.loaded / Math.max(1, e.total)) }
      x.onload = () => {
        if (x.status === 401) { this.onLoggedOut(); fail(new LoggedOut()) }
        else if (x.status >= 502) fail(new Offline())
        else if (x.status >= 300) fail(new JMAPError(`http-${x.status}`))
        else done(account ? incoming(JSON.parse(x.responseText), account) as any : JSON.parse(x.responseText))
      }
      x.onerror = () => fail(new Offline())
      x.onabort = () => fail(abort?.aborted ? new DOMException('aborted', 'AbortError') : new Offline())
      abort?.addEventListener('abort', () => x.abort())
      x.send(data)
    })
  }

  downloadURL(blobId: string, name: string, type: string) {
    return `/jmap/download/${ofAccount(blobId) || this.account}/${encodeURIComponent(bare(blobId))}/${encodeURIComponent(name || 'file')}?type=${encodeURIComponent(type)}`
  }

  // listen calls f when the server says that something changed. Where there is no
  // stream it asks from time to time instead.
  listen(f: (accounts?: string[]) => void): () => void {
    let es: EventSource | null = null, timer = 0, wait = 1000, ended = false
    addEventListener('pagehide', () => { ended = true; es?.close() }) // its end is no fault to be asked about
    addEventListener('pageshow', (e) => { if (e.persisted) { ended = false; open(); f() } })
    const again = () => {
      es?.close()
      if (ended) return
      timer = window.setTimeout(open, wait + Math.random() * 500)
      wait = Math.min(wait * 2, 30_000)
    }
    const open = () => {
      es = new EventSource('/jmap/eventsource?types=*&closeafter=no&ping=30')
      es.onopen = () => { if (wait > 1000) f(); wait = 1000; this.onOnline(true) }
      es.addEventListener('state', (e) => { let a: string[] | undefined; try { a = Object.keys(JSON.parse((e as MessageEvent).data).changed) } catch { /* all of them */ } f(a) })
      es.onerror = () => { again(); if (document.visibilityState === 'visible') f() }
    }
    open()
    return () => { ended = true; clearTimeout(timer); es?.close() }
  }
}

// pick returns the answer of the i-th call; its error as an exception.
export function pick(out: Invocation[], i: number): any {
  const r = out.find((x) => x[2] === String(i))
  if (!r) throw new JMAPError('serverFail', 'no answer')
  if (r[0] === 'error') throw new JMAPError(r[1].type, r[1].description)
  return r[1]
}

export const client = new Client()

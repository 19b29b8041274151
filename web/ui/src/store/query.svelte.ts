// A windowed query: the ids of a list by position, as far as they were asked for.
import { client, pick, JMAPError } from '../jmap/client'
import { inAccount, ofAccount } from '../jmap/accounts'
import { listProperties } from '../jmap/types'
import type { Mail } from './mail.svelte'

export const page = 64

export class Query {
  ids: (string | undefined)[] = [] // by position at the server; holes were not asked for
  total = $state(0)
  rev = $state(0)
  state = ''
  error = $state('')
  loaded = $state(false)
  private gone = new Map<string, number>() // threads that an action took away, and how many actions
  private gonePos: number[] = []
  private asking = false
  private stale = new Set<number>() // pages that may have moved
  private refused = '' // the page that stays incomplete, and the state that it did in
  visible: [number, number] = [0, 0]

  placed?: () => void // told of what moved
  constructor(protected mail: Mail, public filter: any, public account = '', public sort: any = [{ property: 'surfacedAt', isAscending: false }], public collapse = true) {}
  // parts are the queries of which the list is made: itself, or one for each account.
  get parts(): Query[] { return [this] }

  get length() { this.rev; return Math.max(0, this.total - this.gonePos.length) }

  // position at the server of a visible row
  protected at(i: number) {
    for (const g of this.gonePos) { if (g <= i) i++; else break }
    return i
  }
  id(i: number): string | undefined { this.rev; return this.ids[this.at(i)] }

  indexOf(threadId: string): number {
    for (let p = 0, hidden = 0; p < this.ids.length; p++) {
      if (this.gonePos.includes(p)) { hidden++; continue }
      const id = this.ids[p]
      if (id && this.mail.emails.get(id)?.threadId === threadId) return p - hidden
    }
    return -1
  }

  private args(extra: any) { return { ...inAccount(this.account), filter: this.filter, sort: this.sort, collapseThreads: this.collapse, ...extra } }

  // want asks for the rows that are looked at and are not there: one question at a time,
  // and always about what is looked at then. What one scrolled past is not asked for.
  want(from: number, to: number) {
    this.visible = [from, to]
    this.pump()
  }

  private async pump() {
    if (this.asking) return
    this.asking = true
    try {
      for (let last = '', p; (p = this.hole()) >= 0; ) {
        const now = p + ' ' + this.state
        if (now === this.refused) return
        if (now === last) { // the server told less than it counted: its changes say why
          this.refused = now
          this.mail.sync()
          return
        }
        last = now
        if (!(await this.fetch(p))) return
      }
    } finally { this.asking = false }
  }

  // hole is the first page among those looked at that is not there, or -1.
  private hole(): number {
    const [from, to] = this.visible, end = Math.min(this.at(to), this.total - 1)
    for (let p = Math.floor(this.at(from) / page); p <= Math.floor(end / page); p++) {
      if (this.stale.has(p)) return p
      for (let i = Math.max(p * page, this.at(from)); i <= Math.min((p + 1) * page - 1, end); i++) if (!this.ids[i]) return p
    }
    return -1
  }

  // counting asks how many rows are not older than a date.
  counting(after: string): [string, any] { return ['Email/query', this.args({ filter: { operator: 'AND', conditions: [this.filter, { after }] }, limit: 1, calculateTotal: true })] }

  // restore begins with what was kept; changes since then come by queryChanges.
  restore(l: { ids: string[]; total: number; state: string }) {
    this.ids = [...l.ids]
    this.total = l.total
    this.state = l.state
    this.loaded = true
    this.place()
  }

  calls(p: number): [string, any][] {
    return [
      ['Email/query', this.args({ position: p * page, limit: page, calculateTotal: true })],
      ['Email/get', { ...inAccount(this.account), '#ids': { resultOf: 0, name: 'Email/query', path: '/ids' }, properties: ['threadId'] }],
      ['Thread/get', { ...inAccount(this.account), '#ids': { resultOf: 1, name: 'Email/get', path: '/list/*/threadId' } }],
      ['Email/get', { ...inAccount(this.account), '#ids': { resultOf: 2, name: 'Thread/get', path: '/list/*/emailIds' }, properties: listProperties }],
    ]
  }

  take(out: any, p: number) {
    const q = pick(out, 0)
    this.stale.delete(p)
    if (this.state && q.queryState !== this.state && p > 0) { // the list moved meanwhile
      this.mail.sync()
    }
    if (!this.state || p === 0) this.state = q.queryState
    try {
      this.mail.takeThreads(pick(out, 2).list)
      this.mail.takeEmails(pick(out, 3))
    } catch (e) { // too many in one answer: the rows without their threads
      if (!(e instanceof JMAPError)) throw e
      this.mail.fetchEmails(q.ids)
    }
    if (this.total !== q.total) { this.total = q.total; this.ids.length = Math.min(this.ids.length, q.total) }
    q.ids.forEach((id: string, i: number) => { this.ids[q.position + i] = id })
    this.loaded = true
    this.error = ''
    this.place()
  }

  async fetch(p: number): Promise<boolean> {
    try {
      this.take(await client.read(this.calls(p)), p)
      return true
    } catch (e) {
      this.error = e instanceof JMAPError ? e.message : 'offline'
      return false
    }
  }

  refresh() {
    this.state = ''
    this.ids = []
    this.stale.clear()
    this.rev++
    if (this.total) this.pump(); else this.fetch(0)
  }

  changesCall(): [string, any] | null {
    return this.state ? ['Email/queryChanges', this.args({ sinceQueryState: this.state, calculateTotal: true, maxChanges: 500 })] : null
  }

  apply(r: any) {
    if (r.oldQueryState !== this.state) return
    let lost = 0
    for (const id of r.removed as string[]) {
      const i = this.ids.indexOf(id)
      if (i >= 0) this.ids.splice(i, 1)
      else lost++
    }
    const known = new Set(r.added.map((a: any) => a.id))
    const really = (r.removed as string[]).filter((id) => !known.has(id)).length
    for (const a of r.added as { id: string; index: number }[]) {
      if (a.index <= this.ids.length) this.ids.splice(a.index, 0, a.id)
      else this.ids[a.index] = a.id
    }
    this.state = r.newQueryState
    this.total = r.total ?? this.total - really + r.added.length
    this.ids.length = Math.min(this.ids.length, this.total)
    if (lost > 0) { // something went where we have not looked: what is below may have moved
      let first = 0
      while (first < this.ids.length && this.ids[first]) first++
      this.ids.forEach((_, i) => { if (i >= first) this.stale.add(Math.floor(i / page)) })
    }
    this.place()
    this.want(...this.visible)
  }

  // hide takes threads out of the list before the server has; show brings them back.
  hide(threads: Iterable<string>) { for (const th of threads) this.gone.set(th, (this.gone.get(th) || 0) + 1); this.place() }
  show(threads: Iterable<string>) {
    for (const th of threads) {
      const n = (this.gone.get(th) || 0) - 1
      if (n > 0) this.gone.set(th, n); else this.gone.delete(th)
    }
    this.place()
  }
  isHidden(thread: string) { return this.gone.has(thread) }

  // left says that an action took all of a thread out of the mailbox that this is a list of: it may
  // have been made in another list, and the server may not know of it yet.
  left(th: string): boolean {
    const box = this.filter.inMailbox ?? this.filter.conditions?.find?.((c: any) => c.inMailbox)?.inMailbox
    if (!box || this.filter.operator && this.filter.operator !== 'AND' || !this.mail.acted.has(th)) return false
    const ids = this.mail.threads.get(th) || []
    return ids.length > 0 && ids.every((id) => this.mail.emails.has(id) && !this.mail.email(id)!.mailboxIds[box])
  }

  place() {
    this.gonePos = []
    if (this.gone.size || this.mail.acted.size) {
      this.ids.forEach((id, p) => {
        const th = id && this.mail.emails.get(id)?.threadId
        if (th && (this.gone.has(th) || this.left(th))) this.gonePos.push(p)
      })
    }
    this.rev++
    this.placed?.()
  }
}

// Merged is one list over the windows of several accounts, newest first. What stands in it from the top on is as
// far as each of them is known. Far down there is a second piece: at a date of which the server counted, in each
// account, how many rows are newer; it begins where all of these are.
export class Merged extends Query {
  private busy = false
  private since = '' // the date of the second piece, '': there is none
  private ends: [number, number, number] = [0, 0, 0] // of the first piece; of the second, where it begins and ends
  private stops: number[] = [] // in each account, the row that is needed next: of the piece that one looks at
  constructor(mail: Mail, private all: Query[]) {
    super(mail, { merged: all.map((q) => [q.account, q.filter]) })
    for (const q of all) q.placed = () => this.rebuild()
  }
  override get parts() { return this.all }
  override left(th: string) { return this.all.some((q) => q.account === ofAccount(th) && q.left(th)) }
  private date(q: Query, i: number) { const e = this.mail.emails.get(q.ids[i]!); return e?.surfacedAt || e?.receivedAt || '' }

  // merge appends to the list what is known from these rows on, which it moves to where that ends.
  private merge(at: number[], out: (string | undefined)[], pos: number): number {
    for (;;) {
      let best = -1
      for (let k = 0; k < this.all.length; k++) {
        const q = this.all[k]
        if (at[k] >= q.total || !q.loaded) continue
        if (!q.ids[at[k]]) return pos // what comes next is not known
        if (best < 0 || this.date(q, at[k]) > this.date(this.all[best], at[best])) best = k
      }
      if (best < 0) return pos
      out[pos++] = this.all[best].ids[at[best]++]
    }
  }

  private rebuild() {
    this.loaded = this.all.every((q) => q.loaded || q.error)
    this.error = this.all.every((q) => q.error && !q.loaded) ? this.all[0].error : ''
    const out: (string | undefined)[] = [], at = this.all.map(() => 0), known = this.merge(at, out, 0)
    this.ends = [known, 0, 0]
    let from = this.all.map(() => 0)
    this.stops = at
    const far = this.since ? this.begins() : null, sum = far ? far.reduce((n, i) => n + i, 0) : 0
    if (!far || sum <= known) this.since = ''
    else {
      const below = [...far]
      this.ends = [known, sum, this.merge(below, out, sum)]
      if (this.visible[0] >= known) { from = far; this.stops = below }
    }
    this.all.forEach((q, k) => { q.visible = [from[k], Math.max(from[k], this.stops[k] - 1)] })
    this.ids = out
    this.total = this.all.reduce((n, q) => n + (q.loaded ? q.total : 0), 0)
    this.place()
    this.more()
  }
  // begins are the rows of each account where the second piece begins: the first ones known that are older.
  private begins(): number[] | null {
    const at: number[] = []
    for (const q of this.all) {
      let i = 0
      while (i < q.ids.length && !(q.ids[i] && this.date(q, i) < this.since)) i++
      if (i >= q.ids.length && q.ids.length < q.total) return null
      at.push(i)
    }
    return at
  }

  override want(from: number, to: number) { this.visible = [from, to]; this.more() }
  // more asks for what is looked at and not known: what follows on a piece, or another second piece.
  private async more() {
    if (this.busy) return
    this.busy = true
    try {
      for (let before = ''; this.loaded; ) {
        const from = this.at(this.visible[0]), to = Math.min(this.at(this.visible[1]), this.total - 1), [known, begin, end] = this.ends
        let hole = from
        while (hole <= to && this.ids[hole]) hole++
        const now = `${hole} ${this.ends}`
        if (hole > to || now === before) return
        before = now
        if (hole <= known + 2 * page || this.since && hole >= begin && hole <= end + 2 * page) {
          const stops = hole <= known + 2 * page && this.visible[0] >= known && this.since ? this.all.map((q) => { let n = 0; while (n < q.ids.length && q.ids[n]) n++; return n }) : this.stops
          await Promise.all(this.all.map((q, k) => (stops[k] < q.total && !q.ids[stops[k]] ? q.fetch(Math.floor(stops[k] / page)) : true)))
        } else if (!(await this.split(hole))) return
      }
    } finally { this.busy = false }
  }

  // split finds the date before which there are at most so many rows, and hardly fewer, and what is at it in each account.
  private async split(rows: number): Promise<boolean> {
    const lists = this.all.filter((q) => q.total > 0), iso = (ms: number) => new Date(ms).toISOString().replace(/\.\d+/, '')
    await Promise.all(lists.map((q) => q.ids[q.total - 1] || q.fetch(Math.floor((q.total - 1) / page))))
    const oldest = lists.map((q) => +new Date(this.date(q, q.total - 1))).filter((x) => x > 0)
    let young = Date.now() + 864e5, old = Math.min(...oldest, young - 864e5) - 1000, above = 0, below = this.total, at = lists.map(() => 0)
    for (let n = 0; n < 40 && rows - above > page && young - old > 1000; n++) {
      const part = n % 3 === 2 ? 0.5 : Math.min(0.98, Math.max(0.02, (rows - page / 2 - above) / Math.max(1, below - above))), mid = young - (young - old) * part
      const out = await client.read(lists.map((q) => q.counting(iso(mid)))), counts = lists.map((_, k) => pick(out, k).total as number), sum = counts.reduce((a, b) => a + b, 0)
      if (sum <= rows) { young = mid; above = sum; at = counts } else { old = mid; below = sum }
    }
    if (!above) return false
    await Promise.all(lists.map((q, k) => (at[k] < q.total && !q.ids[at[k]] ? q.fetch(Math.floor(at[k] / page)) : true)))
    this.since = iso(young)
    this.rebuild()
    return !!this.since
  }
  override async fetch(_ = 0): Promise<boolean> { const r = await Promise.all(this.all.map((q) => q.fetch(0))); this.rebuild(); return r.every((x) => x) }
  override refresh() { this.since = ''; for (const q of this.all) q.refresh() }
  override changesCall(): null { return null }
}

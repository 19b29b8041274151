// A windowed query: the ids of a list by position, as far as they were asked for.
import { client, pick, JMAPError } from '../jmap/client'
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
  private visible: [number, number] = [0, 0]

  constructor(private mail: Mail, public filter: any, public sort: any = [{ property: 'receivedAt', isAscending: false }], public collapse = true) {}

  get length() { this.rev; return Math.max(0, this.total - this.gonePos.length) }

  // position at the server of a visible row
  private at(i: number) {
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

  private args(extra: any) { return { filter: this.filter, sort: this.sort, collapseThreads: this.collapse, ...extra } }

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
      ['Email/get', { '#ids': { resultOf: 0, name: 'Email/query', path: '/ids' }, properties: ['threadId'] }],
      ['Thread/get', { '#ids': { resultOf: 1, name: 'Email/get', path: '/list/*/threadId' } }],
      ['Email/get', { '#ids': { resultOf: 2, name: 'Thread/get', path: '/list/*/emailIds' }, properties: listProperties }],
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
    return this.state ? ['Email/queryChanges', this.args({ sinceQueryState: this.state, calculateTotal: true })] : null
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

  place() {
    this.gonePos = []
    if (this.gone.size) {
      this.ids.forEach((id, p) => {
        const th = id && this.mail.emails.get(id)?.threadId
        if (th && this.gone.has(th)) this.gonePos.push(p)
      })
    }
    this.rev++
  }
}

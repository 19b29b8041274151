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
  private asked = new Set<number>()
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

  // want asks for the rows that are looked at and are not there.
  want(from: number, to: number) {
    this.visible = [from, to]
    for (let p = Math.floor(this.at(from) / page); p <= Math.floor(Math.min(this.at(to), Math.max(0, this.total - 1)) / page); p++) {
      let hole = false
      for (let i = p * page; i < Math.min((p + 1) * page, this.total); i++) if (!this.ids[i]) { hole = true; break }
      if (hole && !this.asked.has(p)) this.fetch(p)
    }
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

  async fetch(p: number) {
    this.asked.add(p)
    try {
      this.take(await client.read(this.calls(p)), p)
    } catch (e) {
      this.error = e instanceof JMAPError ? e.message : 'offline'
    } finally { this.asked.delete(p) }
  }

  refresh() {
    this.state = ''
    this.ids = []
    this.rev++
    const [from, to] = this.visible
    for (let p = Math.floor(from / page); p <= Math.floor(to / page); p++) this.fetch(p)
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
    let last = this.ids.length
    for (const a of r.added as { id: string; index: number }[]) {
      if (a.index <= this.ids.length) this.ids.splice(a.index, 0, a.id)
      else { this.ids[a.index] = a.id; last = Math.min(last, a.index) }
    }
    this.state = r.newQueryState
    this.total = r.total ?? this.total - really + r.added.length
    if (lost > 0 && this.ids.length !== this.total) { // somewhere that we have not seen: keep what is certain
      let first = 0
      while (first < this.ids.length && this.ids[first]) first++
      if (lost === (r.removed as string[]).length && r.added.length === 0) last = first
    }
    this.ids.length = Math.min(this.ids.length, this.total)
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

// What the client knows of the account: records as the server gave them, and on top of
// them the patches that the server has not confirmed yet.
import { client, pick, JMAPError, Offline, LoggedOut } from '../jmap/client'
import { listProperties, detailProperties, type Email, type Detail, type Mailbox, type Identity } from '../jmap/types'
import { ofAccount, inAccount, byAccount } from '../jmap/accounts'
import { Query, Merged } from './query.svelte'
import { t } from '../kit/i18n'
import { announce, toast } from './toasts.svelte'
import { why } from '../kit/why'
import * as cache from './cache'

export type Patch = Record<string, true | null | { until: string }> // "snoozed", "mailboxIds/F1-1", "keywords/$seen"
export interface Op { changes: Map<string, Patch>; inverse: Map<string, Patch>; label: string; hides: string[]; query: Query | null; open?: string; also?: (done: boolean) => void }

// Shared is what one knows of somebody else's account.
export interface Shared { id: string; name: string; boxes: Mailbox[]; state: string; identities: Identity[] } // identities as far as one may send as them
export interface Asked { account: string; filter: any }
export type Right = Exclude<keyof Mailbox['myRights'], 'mayCreateChild' | 'mayRename' | 'mayDelete' | 'maySubmit'>
const batch = 200
// listKey is the name of a list on this device.
const listKey = (q: Query) => (q.account ? q.account + '~' : '') + JSON.stringify(q.filter)

export class Mail {
  boxes = $state.raw<Mailbox[]>([])
  identities = $state.raw<Identity[]>([])
  shared = $state.raw<Shared[]>([])
  emails = new Map<string, Email>()
  threads = new Map<string, string[]>()
  details = new Map<string, Detail>()
  rev = $state(0) // counts changes of emails and threads
  query = $state.raw<Query>(null as unknown as Query)
  state = ''
  ready = $state(false)
  online = $state(true)
  synced = $state(Date.now())
  waiting = $state(0) // actions that the server has not confirmed
  private pending = new Map<string, Patch[]>()
  acted = new Set<string>() // threads that actions were about
  private undoStack: Op[] = []
  private redoStack: Op[] = []
  canUndo = $state(false)
  account = ''
  private touched = new Set<string>() // emails to write to this device
  private touchedThreads = new Set<string>()
  private gone = new Set<string>()
  private anew = false
  private keeping = 0
  private tail: Promise<unknown> = Promise.resolve() // actions go to the server one after the other
  private bringing = 0 // actions under way that bring rows back
  private brought = 0 // how many did
  private syncing: Promise<void> | null = null
  private again = false

  boxesOf(account: string) { return account ? this.shared.find((s) => s.id === account)?.boxes || [] : this.boxes }
  // senders are those that one may send as: one's own identities, and of others who let one send
  // where drafts and what was sent can be kept with them.
  get senders(): Identity[] {
    const keeps = (b?: Mailbox) => !!b?.myRights.mayAddItems && b.myRights.mayRemoveItems
    return [...this.identities, ...this.shared.filter((s) => keeps(this.box('drafts', s.id)) && this.box('sent', s.id)?.myRights.mayAddItems).flatMap((s) => s.identities)]
  }
  // identitiesOf are those of an account, as far as one may send as them.
  identitiesOf(account: string): Identity[] { return account ? this.shared.find((s) => s.id === account)?.identities || [] : this.identities }
  sender(account: string, email: string) { return this.senders.find((i) => ofAccount(i.id) === account && i.email.toLowerCase() === email.toLowerCase()) }
  box(role: string, account = '') { return this.boxesOf(account).find((b) => b.role === role) }
  boxByID(id: string) { return this.boxesOf(ofAccount(id)).find((b) => b.id === id) }
  // may reports whether one has a right in every mailbox of a message that one sees.
  may(e: Email | undefined, right: Right) { return !!e && (!ofAccount(e.id) || Object.keys(e.mailboxIds).every((b) => this.boxByID(b)?.myRights[right] !== false)) }

  // start shows what this device keeps, and asks for what changed; without, it asks for
  // everything that the first picture needs, in one request where the inbox is known. along asks
  // for more in the same request.
  async start(makeFilter: (boxes: Mailbox[]) => any, along: () => void) {
    this.account = client.account
    await cache.open(client.account)
    if (await this.restore(makeFilter, along)) return
    along()
    const guess = client.inbox && location.pathname === '/' ? new Query(this, { inMailbox: client.inbox }) : null
    const [out, list] = await Promise.all([
      client.read([['Mailbox/get', { ids: null }], ['Identity/get', { ids: null }], ['Email/get', { ids: [], properties: ['id'] }]]),
      guess && client.read(guess.calls(0)).catch(() => null),
    ])
    const r = pick(out, 0)
    this.boxes = sortBoxes(r.list)
    this.state = pick(out, 2).state
    try { this.identities = pick(out, 1).list } catch { this.identities = [] }
    if (!this.identities.length) this.identities = [{ id: '', name: '', email: client.user, textSignature: '', htmlSignature: '', replyTo: null, bcc: null, mayDelete: false }]
    const filter = makeFilter(this.boxes)
    const first = list && this.took(guess!, filter, list) ? null : this.open(filter)
    this.ready = true
    await first // what can wait does: the stream of changes, the manifest, the worker
    await this.takeUp()
  }

  // took shows the list that was asked for before it was known which one it would be.
  private took(guess: Query, filter: any, out: any): boolean {
    if (JSON.stringify(filter) !== JSON.stringify(guess.filter)) return false
    try { guess.take(out, 0) } catch { return false }
    this.query = guess
    return true
  }

  private async restore(makeFilter: (boxes: Mailbox[]) => any, along: () => void): Promise<boolean> {
    let filter: any
    const r = await cache.begin((m) => { this.boxes = m.boxes; filter = makeFilter(m.boxes); return JSON.stringify(filter) })
    if (!r) return false
    this.boxes = r.meta.boxes; this.identities = r.meta.identities; this.state = r.meta.state; this.synced = r.meta.synced
    this.shared = (r.meta.shared || []).map((s) => ({ ...s, boxes: sortBoxes(s.boxes) }))
    this.query = new Query(this, filter)
    this.adopt(this.query, r)
    this.ready = true
    await this.takeUp()
    along()
    const [, ids] = await Promise.all([this.query.loaded ? this.sync() : this.query.fetch(0), client.read([['Identity/get', { ids: null }]]).catch(() => null)])
    try { if (ids && pick(ids, 0).list.length) this.identities = pick(ids, 0).list } catch { /* those of last time */ }
    return true
  }

  // adopt takes a list as it was kept.
  private adopt(q: Query, r: { list?: cache.List; emails: Email[]; threads: [string, string[]][] }) {
    for (const [id, ids] of r.threads) if (!this.threads.has(id)) this.threads.set(id, ids)
    for (const e of r.emails) {
      if (!this.emails.has(e.id)) this.emails.set(e.id, e)
      if ('attachments' in e && !this.details.has(e.id)) this.details.set(e.id, e as Detail)
    }
    this.rev++
    if (r.list?.ids.length) q.restore(r.list)
  }

  // takeUp goes on with what another page left.
  private async takeUp() {
    this.takeUndo()
    const left = async () => { for (const q of await cache.queued()) this.resume(q) }
    await left()
    cache.onLast(left)
  }

  // resume goes on with an action that the server had not confirmed when the page went away.
  private resume(q: cache.Queued) {
    const here = JSON.stringify(this.query.filter) === q.key
    this.run(new Map(q.changes), here ? this.query : null, q.hides, true, q)
  }

  // ask opens a list: of one account, or of several as one.
  ask(list: Asked[]) {
    if (list.length === 1) return this.open(list[0].filter, list[0].account)
    return this.show(new Merged(this, list.map((x) => new Query(this, x.filter, x.account))))
  }
  open(filter: any, account = '') { return this.show(new Query(this, filter, account)) }
  // show fetches a list; without the server it is as this device kept it.
  private async show(q: Query): Promise<unknown> {
    for (const p of this.query?.parts || []) if (this.online && p.loaded) this.keepAside(p)
    this.query = q
    if (this.online && (await q.fetch(0))) return
    for (const p of q.parts) if (!p.loaded) { const r = await cache.lists(listKey(p)); if (r && q === this.query && !p.loaded) this.adopt(p, r) }
    return q.fetch(0)
  }

  // keepAside keeps a list that is not on the screen, too.
  private aside: Query[] = []
  keepAside(q: Query) { this.aside = [...this.aside.slice(-5), q]; this.keep() }

  // keep writes to this device, when there is nothing else to do.
  keep() {
    if (this.keeping || !cache.leader) return
    this.keeping = window.setTimeout(() => (window.requestIdleCallback ?? setTimeout)(() => this.keepNow()), 1500)
  }
  private async keepNow() {
    const q = this.query, all = (s: Set<string>) => { const out = [...s]; s.clear(); return out }
    const emails = all(this.touched).slice(-3000).map((id) => this.emails.get(id)).filter((e) => !!e)
    const threads = all(this.touchedThreads).map((id) => [id, this.threads.get(id)] as [string, string[]]).filter((x) => x[1])
    const known = (q: Query) => { let n = 0; while (n < q.ids.length && q.ids[n]) n++; return q.ids.slice(0, n) as string[] }
    const list = (q: Query): cache.List[] => { const ids = known(q); return q.loaded && q.state && ids.length ? [{ key: listKey(q), ids, total: q.total, state: q.state, at: Date.now() }] : [] }
    const single = q.parts.length === 1 && !q.account, ids = single ? known(q) : [], anew = this.anew
    this.anew = false
    const meta = { boxes: $state.snapshot(this.boxes) as Mailbox[], identities: $state.snapshot(this.identities) as Identity[], state: this.state, synced: this.synced, shared: $state.snapshot(this.shared) as Shared[] }
    // The first picture of the next start: its rows, and what else is of their conversations.
    const top = ids.slice(0, cache.screen).map((id) => this.emails.get(id)?.threadId), seen = [...new Set(top.filter((id) => id !== undefined))].filter((id) => this.threads.has(id))
    const shown = new Set([...ids.slice(0, cache.screen), ...seen.flatMap((id) => this.threads.get(id)!)])
    const first = { threads: seen.map((id) => [id, this.threads.get(id)] as [string, string[]]), emails: [...shown].map((id) => this.emails.get(id)).filter((e) => !!e) }
    await cache.write({ meta, first, list: single ? list(q)[0] : undefined, others: [...(single ? [] : q.parts), ...this.aside.splice(0)].flatMap(list), emails, gone: all(this.gone), threads, anew })
    this.keeping = 0
    if (this.touched.size) this.keep()
  }

  takeThreads(list: { id: string; emailIds: string[] }[]) { for (const th of list) { this.threads.set(th.id, th.emailIds); this.touchedThreads.add(th.id) } }
  takeEmails(r: { list: Email[] }) {
    for (const e of r.list) {
      this.emails.set(e.id, e)
      this.touched.add(e.id)
      const d = this.details.get(e.id)
      if (d) { d.mailboxIds = e.mailboxIds; d.keywords = e.keywords; this.emails.set(e.id, { ...d, ...e }) }
    }
    this.rev++
    this.keep()
  }

  async fetchEmails(ids: string[]) {
    for (const [account, some] of byAccount(ids)) for (let i = 0; i < some.length; i += batch) {
      const out = await client.read([['Email/get', { ...inAccount(account), ids: some.slice(i, i + batch), properties: listProperties }]])
      this.takeEmails(pick(out, 0))
    }
  }

  // email is the record with the patches that are under way.
  email(id: string | undefined): Email | undefined {
    this.rev
    const e = id ? this.emails.get(id) : undefined
    const patches = e && this.pending.get(e.id)
    if (!e || !patches?.length) return e
    const out = { ...e, mailboxIds: { ...e.mailboxIds }, keywords: { ...e.keywords } }
    for (const p of patches) applyPatch(out, p)
    return out
  }

  thread(id: string): Email[] {
    this.rev
    return (this.threads.get(id) || []).map((e) => this.email(e)).filter((e): e is Email => !!e).sort((a, b) => a.receivedAt < b.receivedAt ? -1 : 1)
  }

  async loadThread(id: string): Promise<void> {
    if (!this.online) {
      const r = await cache.thread(id)
      if (r) {
        if (!this.threads.has(id)) this.threads.set(id, r.ids)
        for (const e of r.emails) { if (!this.emails.has(e.id)) this.emails.set(e.id, e); if ('attachments' in e) this.details.set(e.id, e as Detail) }
        this.rev++
        if (this.threads.get(id)!.every((e) => this.emails.has(e))) return
      }
    }
    if (!this.threads.has(id)) {
      const where = inAccount(ofAccount(id)), out = await client.read([['Thread/get', { ...where, ids: [id] }], ['Email/get', { ...where, '#ids': { resultOf: 0, name: 'Thread/get', path: '/list/*/emailIds' }, properties: detailProperties }]])
      this.takeThreads(pick(out, 0).list)
      this.takeDetails(pick(out, 1).list)
      return
    }
    const lack = (this.threads.get(id) || []).filter((e) => !this.details.has(e))
    if (!lack.length) return
    const out = await client.read([['Email/get', { ...inAccount(ofAccount(id)), ids: lack.slice(0, batch), properties: detailProperties }]])
    this.takeDetails(pick(out, 0).list)
  }

  // prefetch loads, in one question, what may be opened next.
  async prefetch(threads: string[]) {
    const lack = threads.flatMap((th) => this.threads.get(th) || []).filter((e) => !this.details.has(e)).slice(0, 20)
    if (!lack.length) return
    try { for (const [account, ids] of byAccount(lack)) this.takeDetails(pick(await client.read([['Email/get', { ...inAccount(account), ids, properties: detailProperties }]]), 0).list, false) } catch { /* it is asked for when it is opened */ }
  }

  takeDetails(list: Detail[], shown = true) {
    for (const d of list) {
      this.details.set(d.id, d)
      this.emails.set(d.id, d)
      this.touched.add(d.id)
    }
    while (this.details.size > 500) this.details.delete(this.details.keys().next().value!)
    if (shown) this.rev++
    this.keep()
  }

  // sync brings everything up to the server's state. Calls while it runs make it run once more.
  sync(): Promise<void> {
    if (this.syncing) { this.again = true; return this.syncing }
    this.syncing = (async () => {
      try {
        for (;;) {
          this.again = false
          await Promise.all([this.syncOnce(), ...this.shared.map((s) => this.syncOnce(s))])
          if (!this.again) return
          await new Promise((r) => setTimeout(r, 250)) // a flood of changes is taken in pieces
        }
      } finally { this.syncing = null } // with the last look at again: who comes later begins another one
    })()
    return this.syncing
  }

  // syncOnce is about one's own account, or that of somebody else.
  private async syncOnce(other?: Shared) {
    if (!this.ready) return
    const account = other?.id || '', q = this.query.parts.find((x) => x.account === account), qc = q?.changesCall()
    const where = inAccount(account), brought = this.brought
    const calls: [string, any][] = [
      ['Mailbox/get', { ...where, ids: null }],
      ['Email/changes', { ...where, sinceState: (other || this).state, maxChanges: 500 }],
      ['Email/get', { ...where, '#ids': { resultOf: 1, name: 'Email/changes', path: '/created' }, properties: listProperties }],
      ['Email/get', { ...where, '#ids': { resultOf: 1, name: 'Email/changes', path: '/updated' }, properties: listProperties }],
      ['Thread/get', { ...where, '#ids': { resultOf: 2, name: 'Email/get', path: '/list/*/threadId' } }],
    ]
    if (qc) calls.push(qc)
    try {
      const out = await client.read(calls)
      const boxes = sortBoxes(pick(out, 0).list)
      if (other) { const old = other; other = { ...old, boxes }; this.shared = this.shared.map((s) => (s === old ? other! : s)) } else { this.boxes = boxes; this.synced = Date.now() }
      try {
        const ch = pick(out, 1)
        this.takeEmails(pick(out, 2))
        this.takeEmails(pick(out, 3))
        this.takeThreads(pick(out, 4).list)
        for (const id of ch.destroyed as string[]) { this.drop(id); dispatchEvent(new CustomEvent('gone', { detail: id })) }
        ;(other || this).state = ch.newState
        this.keep()
        if (ch.hasMoreChanges) await this.leap(account, other || this)
        const lack = (pick(out, 4).list as any[]).flatMap((th) => th.emailIds).filter((id) => !this.emails.has(id))
        if (lack.length) await this.fetchEmails(lack)
      } catch (e) {
        if (!(e instanceof JMAPError)) throw e
        if (other) { this.forget(account); other.state = pick(await client.read([['Email/get', { ...where, ids: [], properties: ['id'] }]]), 0).state; q?.refresh() } else await this.startOver()
        return
      }
      if (qc && q && this.query.parts.includes(q)) {
        try {
          const r = pick(out, 5)
          const lack = (r.added as any[]).map((a) => a.id).filter((id) => !this.emails.has(id))
          if (lack.length) await this.fetchWithThreads(lack, account)
          // What was asked before rows were brought back knows nothing of that: they would leave once more. The action asks again
          // when it is done, from where this answer began.
          if (!this.bringing && brought === this.brought) q.apply(r)
        } catch (e) {
          if (!(e instanceof JMAPError)) throw e
          q.refresh()
        }
      }
    } catch (e) {
      if (other && e instanceof JMAPError) { this.shared = this.shared.filter((s) => s.id !== account); this.forget(account); dispatchEvent(new CustomEvent('shared')); return } // not shared any more
      if (!(e instanceof Offline) && !(e instanceof LoggedOut)) console.warn('sync', e)
    }
  }

  // leap takes in a flood of changes, as a job of the server makes: the ids of all that changed,
  // and the records of those only that are known here.
  private async leap(account: string, of: { state: string }) {
    const where = inAccount(account), ch = pick(await client.read([['Email/changes', { ...where, sinceState: of.state }]]), 0)
    for (const id of ch.destroyed as string[]) if (this.emails.has(id)) { this.drop(id); dispatchEvent(new CustomEvent('gone', { detail: id })) }
    await this.fetchEmails((ch.updated as string[]).filter((id) => this.emails.has(id)))
    if (ch.created.length) { // some may belong to conversations that are known
      const known = [...this.threads.keys()].filter((th) => ofAccount(th) === account)
      for (let i = 0; i < known.length; i += batch) {
        const list = pick(await client.read([['Thread/get', { ...where, ids: known.slice(i, i + batch) }]]), 0).list
        this.takeThreads(list)
        await this.fetchEmails(list.flatMap((th: any) => th.emailIds).filter((id: string) => !this.emails.has(id)))
      }
    }
    of.state = ch.newState
    this.keep()
    if (ch.hasMoreChanges) this.again = true // it went on meanwhile
  }

  private async fetchWithThreads(ids: string[], account: string) {
    const where = inAccount(account), out = await client.read([
      ['Email/get', { ...where, ids: ids.slice(0, batch), properties: ['threadId'] }],
      ['Thread/get', { ...where, '#ids': { resultOf: 0, name: 'Email/get', path: '/list/*/threadId' } }],
      ['Email/get', { ...where, '#ids': { resultOf: 1, name: 'Thread/get', path: '/list/*/emailIds' }, properties: listProperties }],
    ])
    this.takeThreads(pick(out, 1).list)
    this.takeEmails(pick(out, 2))
  }

  private async startOver() {
    this.emails.clear(); this.threads.clear(); this.details.clear()
    this.anew = true
    const out = await client.read([['Email/get', { ids: [], properties: ['id'] }]])
    this.state = pick(out, 0).state
    this.query.refresh()
  }

  // forget lets go of the records of somebody else's account.
  forget(account: string) {
    for (const m of [this.emails, this.threads, this.details] as Map<string, unknown>[]) for (const id of m.keys()) if (ofAccount(id) === account) m.delete(id)
    for (const s of [this.touched, this.touchedThreads]) for (const id of s) if (ofAccount(id) === account) s.delete(id)
    this.rev++
    void cache.dropAccount(account)
  }

  private drop(id: string) {
    const e = this.emails.get(id)
    if (!e) return
    this.emails.delete(id); this.details.delete(id)
    this.gone.add(id)
    const th = this.threads.get(e.threadId)
    if (th) this.threads.set(e.threadId, th.filter((x) => x !== id))
    this.rev++
  }

  // snoozedUntil asks until when messages are put off.
  async snoozedUntil(ids: string[]) {
    try {
      const list = pick(await client.read([['Email/get', { ids: ids.slice(0, 500), properties: ['id', 'snoozed'] }]]), 0).list as { id: string; snoozed: { until: string } | null }[]
      for (const e of list) if (e.snoozed) snoozed.set(e.id, { until: e.snoozed.until }); else snoozed.delete(e.id)
    } catch { /* undo brings them back to where they came from */ }
  }

  // act applies changes at once and tells the server. hides are threads that leave the
  // present list.
  act(changes: Map<string, Patch>, label: string, hides: string[], o: { undo?: boolean; say?: boolean; open?: string; also?: Op['also'] } = {}): Op {
    const inverse = new Map<string, Patch>()
    for (const [id, p] of changes) {
      const e = this.email(id)
      if (e) inverse.set(id, inverseOf(e, p))
    }
    const op: Op = { changes, inverse, label, hides, query: this.query, open: o.open, also: o.also }
    if (o.undo !== false) {
      this.undoStack.push(op)
      if (this.undoStack.length > 100) this.undoStack.shift()
      this.redoStack = []
      this.canUndo = true
    }
    op.also?.(true)
    this.keepUndo()
    this.run(op.changes, op.hides.length ? op.query : null, op.hides, true)
    if (o.say !== false && label) toast(label, o.undo !== false ? { text: t('Undo'), run: () => this.undo(op) } : undefined)
    return op
  }

  private async run(changes: Map<string, Patch>, q: Query | null, hides: string[], hide: boolean, resumed?: cache.Queued) {
    for (const [id, p] of changes) { this.pending.set(id, [...(this.pending.get(id) || []), p]); const th = this.emails.get(id)?.threadId; if (th && 'snoozed' in p) this.acted.delete(th) /* the server says where it goes */; else if (th) this.acted.add(th) }
    this.rev++
    this.replace()
    this.waiting++
    let brings = !hide
    if (brings) this.bringing++
    q?.hide(hides)
    const before = this.tail
    let over = () => {}
    this.tail = new Promise<void>((r) => (over = r))
    const landed = () => { if (brings) { brings = false; this.bringing--; this.brought++ } }
    const kept = resumed ? Promise.resolve(resumed.n) : cache.queue({ changes: [...changes], hides, key: JSON.stringify(this.query.filter), label: '' })
    const began = Date.now()
    try {
      const all = [...changes]
      await before
      for (let i = 0; i < all.length; i += 500) {
        const some = byAccount(all.slice(i, i + 500).map((x) => x[0]))
        const out = await this.persist(() => client.write(some.map(([account, ids]) => ['Email/set', { ...inAccount(account), update: Object.fromEntries(ids.map((id) => [id, changes.get(id)])) }])))
        over()
        const r = { notUpdated: Object.assign({}, ...some.map((_, k) => pick(out, k).notUpdated || {})) as Record<string, any> }, refused = Object.keys(r.notUpdated || {}).filter((id) => r.notUpdated[id].type !== 'notFound')
        const lost = Object.keys(r.notUpdated || {}).length - refused.length
        if (lost && (resumed || Date.now() - began > 10_000)) toast(t('{n, plural, one {# message was} other {# messages were}} deleted elsewhere meanwhile.', { n: lost }), undefined, true)
        if (refused.length) throw new JMAPError(r.notUpdated[refused[0]].type, r.notUpdated[refused[0]].description)
        for (const [id, p] of all.slice(i, i + 500)) {
          const e = this.emails.get(id)
          if (e) { const c = { ...e, mailboxIds: { ...e.mailboxIds }, keywords: { ...e.keywords } }; applyPatch(c, p); this.emails.set(id, c); this.touched.add(id) }
        }
      }
      landed()
      cache.unqueue(await kept)
      await this.sync()
      this.settle(changes) // not before: an answer that was asked before the change knows nothing of it
      q?.show(hides)
    } catch (e) {
      landed()
      cache.unqueue(await kept)
      this.settle(changes)
      q?.show(hides)
      this.undoStack = this.undoStack.filter((o) => o.changes !== changes)
      this.canUndo = this.undoStack.length > 0
      this.keepUndo()
      if (!(e instanceof LoggedOut)) toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true)
      this.sync()
    } finally { over(); this.waiting-- }
  }

  // persist repeats what failed for lack of a connection, or of a session.
  private async persist<T>(f: () => Promise<T>): Promise<T> {
    for (let wait = 1000; ; wait = Math.min(wait * 2, 30_000)) {
      try { return await f() } catch (e) {
        if (!(e instanceof Offline) && !(e instanceof LoggedOut)) throw e
        await new Promise((r) => { const n = setTimeout(r, wait); addEventListener('online', () => { clearTimeout(n); r(null) }, { once: true }) })
      }
    }
  }

  private replace() { for (const q of this.query?.parts || []) q.place() }

  private settle(changes: Map<string, Patch>) {
    for (const [id, p] of changes) {
      const left = (this.pending.get(id) || []).filter((x) => x !== p)
      if (left.length) this.pending.set(id, left); else this.pending.delete(id)
    }
    this.rev++
    this.replace()
  }

  undo(op = this.undoStack[this.undoStack.length - 1]): Op | undefined {
    if (!op || !this.undoStack.includes(op)) return
    this.undoStack = this.undoStack.filter((o) => o !== op)
    this.redoStack.push(op)
    this.canUndo = this.undoStack.length > 0
    this.keepUndo()
    op.query?.show(op.hides)
    // What hid the rows may still be under way: hidden once less now, shown once less at its end.
    op.query?.hide([])
    op.also?.(false)
    this.run(op.inverse, null, [], false)
    announce(t('Undone: {what}', { what: op.label }))
    dispatchEvent(new CustomEvent('did', { detail: 'undo' }))
    toast(t('Undone: {what}', { what: op.label }))
    return op
  }

  // What can be undone stays with the window when it is loaded anew, but for what more belongs to than changes of messages.
  private keepUndo() {
    const list = this.undoStack.filter((o) => !o.also).map((o) => ({ changes: [...o.changes], inverse: [...o.inverse], label: o.label, hides: o.hides }))
    try { while (list.length && JSON.stringify(list).length > 1e6) list.shift(); sessionStorage.setItem('undo', JSON.stringify({ of: this.account, list })) } catch { /* full */ }
  }
  private takeUndo() {
    try {
      const kept = JSON.parse(sessionStorage.getItem('undo') || 'null')
      if (kept?.of !== this.account || this.undoStack.length) return
      this.undoStack = kept.list.map((o: any) => ({ ...o, changes: new Map(o.changes), inverse: new Map(o.inverse), query: null }))
      this.canUndo = this.undoStack.length > 0
    } catch { /* nothing was kept */ }
  }

  redo(): Op | undefined {
    const op = this.redoStack.pop()
    if (!op) return
    this.undoStack.push(op)
    this.canUndo = true
    op.also?.(true)
    this.keepUndo()
    this.run(op.changes, op.query, op.hides, true)
    toast(op.label)
    return op
  }

  // bulk changes all that the present list would show, or what of it is in a mailbox, as a job of the server.
  async bulk(patch: Record<string, unknown>, label: (n: number) => string, inMailbox = '') {
    const q = this.query, filter = inMailbox && q.filter.inMailbox !== inMailbox ? { operator: 'AND', conditions: [q.filter, { inMailbox }] } : q.filter
    try {
      const job = pick(await client.write([['Email/bulk', { filter, patch }]]), 0)
      const id = job.jobId
      const wait = async (end: string) => {
        for (;;) {
          const j = pick(await client.read([['Job/get', { ids: [id] }]]), 0).list[0]
          if (!j || j.status === end || j.status === 'failed') return j
          announce(t('{done} of {total}', { done: j.done, total: j.total }))
          await new Promise((r) => setTimeout(r, 300))
        }
      }
      const j = await wait('done')
      await this.sync()
      q.refresh()
      toast(label(j?.done ?? 0), { text: t('Undo'), run: async () => {
        pick(await client.write([['Email/bulkUndo', { jobId: id }]]), 0)
        await wait('undone')
        await this.sync()
        this.query.refresh()
        toast(t('Undone: {what}', { what: label(j?.done ?? 0) }))
      } }, false, 20)
    } catch (e) { toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true) }
  }

  async destroy(ids: string[], hides: string[]) {
    const q = this.query
    q.hide(hides)
    try {
      for (const [account, some] of byAccount(ids)) for (let i = 0; i < some.length; i += 500) pick(await client.write([['Email/set', { ...inAccount(account), destroy: some.slice(i, i + 500) }]]), 0)
      await this.sync()
    } catch (e) { toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true) }
    q.show(hides)
  }
}

export function applyPatch(e: Email, p: Patch) {
  for (const k in p) {
    if (k === 'snoozed') continue
    const [what, id] = k.split(/\/(.*)/s)
    const set = what === 'keywords' ? e.keywords : e.mailboxIds
    if (p[k]) set[id] = true; else delete set[id]
  }
}

// snoozed are the times of what was put off before, as far as somebody asked.
const snoozed = new Map<string, { until: string }>()

function inverseOf(e: Email, p: Patch): Patch {
  const out: Patch = {}
  for (const k in p) {
    if (k === 'snoozed') { out[k] = snoozed.get(e.id) ?? null; continue }
    const [what, id] = k.split(/\/(.*)/s)
    const has = !!(what === 'keywords' ? e.keywords : e.mailboxIds)[id]
    if (has !== !!p[k]) out[k] = has || null
  }
  return out
}

const order = ['inbox', 'flagged', 'snoozed', 'scheduled', 'sent', 'drafts', 'archive', 'junk', 'trash']
export function sortBoxes(list: Mailbox[]): Mailbox[] {
  // Two mailboxes are known by their names: no special use is registered for them.
  for (const b of list) if (!b.role && !b.parentId && (b.name === 'Snoozed' || b.name === 'Scheduled')) b.role = b.name.toLowerCase()
  const rank = (b: Mailbox) => b.role ? (order.indexOf(b.role) + 1 || 90) : 100
  list.sort((a, b) => rank(a) - rank(b) || a.sortOrder - b.sortOrder || a.name.localeCompare(b.name, undefined, { numeric: true }))
  // Those below another follow it; below one that cannot be seen, they stand by themselves.
  const seen = new Set(list.map((b) => b.id)), below = new Map<string, Mailbox[]>(), out: Mailbox[] = []
  for (const b of list) { const p = b.parentId && !b.role && seen.has(b.parentId) ? b.parentId : ''; below.set(p, [...(below.get(p) || []), b]) }
  const put = (p: string, n: number) => { for (const b of below.get(p) || []) { out.push(b); if (n < 50) put(b.id, n + 1) } }
  put('', 0)
  return out
}

export const mail = new Mail()

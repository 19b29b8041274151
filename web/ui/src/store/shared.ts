// Accounts that others share with oneself, and moving between accounts.
import { client, pick, JMAPError } from '../jmap/client'
import { ofAccount, inAccount, byAccount } from '../jmap/accounts'
import { mail, sortBoxes, type Shared } from './mail.svelte'
import { go, fromURL, queryFor, ui, boxName } from './ui.svelte'
import { toast } from './toasts.svelte'
import { t } from '../kit/i18n'
import { why } from '../kit/why'

const asked = location.pathname + location.search // where one wanted to go before it was known what is shared

// loadShared asks which accounts there are, and for the mailboxes of those that are new.
let loading: Promise<void> | null = null, again = false
export function loadShared(anew = false): Promise<void> {
  if (loading) again ||= anew // it may have changed since it was asked
  return (loading ??= load(anew).finally(() => {
    loading = null
    if (again) { again = false; loadShared(true) }
  }))
}
async function load(anew: boolean) {
  try {
    const session = await client.sessionObject(anew)
    if (!client.session) { addEventListener('online', () => void loadShared(true), { once: true }); return } // what was kept is shown
    const there = Object.entries(session.accounts || {} as Record<string, any>).filter(([id, a]: [string, any]) => id !== client.account && a.accountCapabilities?.['urn:ietf:params:jmap:mail'])
    const now: Shared[] = []
    for (const [id, a] of there as [string, any][]) {
      const old = mail.shared.find((s) => s.id === id)
      const sends = !!a.accountCapabilities['urn:ietf:params:jmap:submission']
      if (old && sends === old.identities.length > 0) { now.push(old); continue }
      try {
        const out = await client.read([['Mailbox/get', { ...inAccount(id), ids: null }], ['Email/get', { ...inAccount(id), ids: [], properties: ['id'] }], ...(sends ? [['Identity/get', { ...inAccount(id), ids: null }] as [string, any]] : [])])
        now.push({ id, name: a.name, boxes: sortBoxes(pick(out, 0).list), state: pick(out, 1).state, identities: sends ? pick(out, 2).list : [] })
      } catch (e) { if (!(e instanceof JMAPError)) throw e } // gone meanwhile
    }
    const first = !mail.shared.length && now.length
    const gone = mail.shared.some((s) => !now.some((n) => n.id === s.id))
    for (const s of mail.shared.filter((s) => !now.some((n) => n.id === s.id))) mail.forget(s.id)
    mail.shared = now
    mail.keep()
    if (gone) dispatchEvent(new CustomEvent('shared'))
    if (first) arrive()
  } catch { /* asked again with the next sign of it */ }
}

// arrive goes where the address asked for, once it is known what is shared.
export function arrive() {
  // What the address asked for may have been somebody else's; a search is over all.
  if (/^\/mail\/(unified|A\d+~)/.test(decodeURIComponent(asked)) && asked !== location.pathname + location.search) {
    history.replaceState(null, '', asked)
    const u = fromURL()
    if (u.place !== ui.place) go(u.place, { thread: u.thread, replace: true })
  } else if (/^\/mail\/(unified|A\d+~)/.test(decodeURIComponent(location.pathname))) {
    const u = fromURL()
    if (u.place !== ui.place) go(u.place, { thread: u.thread, replace: true })
  } else if (ui.search) mail.ask(queryFor(ui.place, ui.search, ui.filter))
}

// transfer copies messages into a mailbox of another account, and takes them out of where
// they were as far as one may: one's own go to the trash. The inverse brings all back.
export async function transfer(ids: string[], to: string, hides: string[]) {
  const target = ofAccount(to), trash = (a: string) => mail.box('trash', a)?.id, box = mail.boxByID(to)!
  const moved = ids.filter((id) => mail.may(mail.email(id), 'mayRemoveItems')), only = moved.length < ids.length
  const before = new Map(moved.map((id) => [id, { ...mail.email(id)!.mailboxIds }]))
  let copies: string[] = []
  const there = async () => {
    copies = []
    for (const [from, some] of byAccount(ids)) {
      const create = Object.fromEntries(some.map((id, i) => { const k = { ...mail.email(id)!.keywords }; return ['c' + i, { id, mailboxIds: { [to]: true }, keywords: k }] }))
      const r = pick(await client.write([['Email/copy', { accountId: target || client.account, fromAccountId: from || client.account, create }]]), 0)
      copies.push(...Object.values((r.created || {}) as Record<string, { id: string }>).map((c) => c.id))
      const no = Object.values((r.notCreated || {}) as Record<string, { type: string; description?: string; existingId?: string }>).filter((x) => x.type !== 'alreadyExists')
      if (no.length) throw new JMAPError(no[0].type, no[0].description)
    }
    for (const [a, some] of byAccount(moved)) {
      const bin = trash(a), args = inAccount(a)
      const r = pick(await client.write([['Email/set', bin ? { ...args, update: Object.fromEntries(some.map((id) => [id, { mailboxIds: { [bin]: true } }])) } : { ...args, destroy: some }]]), 0)
      const no = Object.values({ ...r.notUpdated, ...r.notDestroyed } as Record<string, { type: string; description?: string }>)
      if (no.length) throw new JMAPError(no[0].type, no[0].description)
    }
  }
  const back = async () => {
    for (const [a, some] of byAccount(moved)) {
      if (!trash(a)) { // they are brought back from where they went
        for (const id of some) {
          const c = copies[ids.indexOf(id)]
          if (c) pick(await client.write([['Email/copy', { accountId: a || client.account, fromAccountId: target || client.account, create: { c: { id: c, mailboxIds: before.get(id) } } }]]), 0)
        }
        continue
      }
      pick(await client.write([['Email/set', { ...inAccount(a), update: Object.fromEntries(some.map((id) => [id, { mailboxIds: before.get(id) }])) }]]), 0)
    }
    if (copies.length) pick(await client.write([['Email/set', { ...inAccount(target), destroy: copies }]]), 0)
  }
  const name = boxName(box, t) + (target ? ` (${mail.shared.find((s) => s.id === target)?.name || ''})` : '')
  let tail: Promise<unknown> = Promise.resolve()
  const q = mail.query, gone = only ? [] : hides
  mail.act(new Map(), only ? t('Copied {n, plural, one {# message} other {# messages}} to {box}', { n: ids.length, box: name }) : t('Moved {n, plural, one {# message} other {# messages}} to {box}', { n: ids.length, box: name }), [], { also: (done) => {
    if (done) q.hide(gone)
    tail = tail.then(done ? there : back).catch((e) => toast(t('The server did not make this change: {why}', { why: why(e) }), undefined, true)).then(() => mail.sync()).finally(() => { if (done) q.show(gone) })
  } })
}

// Every action, once. Menus, toolbar, palette, shortcuts, swipes, the sheet of keys and the
// tests are made from this list; an action that changes mail says how it is undone by
// going through mail.act.
import { mail, type Patch, type Right } from '../store/mail.svelte'
import { ofAccount } from '../jmap/accounts'
import { transfer } from '../store/shared'
import { ui, go, filterFor, openThread, openCard, compose, targets, rowThread, boxName, inboxes, viewNow, closeComposer } from '../store/ui.svelte'
import { settings, save, look } from '../store/settings.svelte'
import { toast } from '../store/toasts.svelte'
import { client } from '../jmap/client'
import { look as lookPush } from '../store/push.svelte'
import { signOut } from '../store/device'
import { did } from '../store/guide'
import { t } from '../kit/i18n'
import { reply, forward, isMine } from './reply'
import type { Email } from '../jmap/types'

export type Group = 'This conversation' | 'Move through the list' | 'Contacts' | 'Go to' | 'Write' | 'View' | 'Account'
export interface Action {
  id: string; name: string; group: Group; icon: string
  keys?: string[] // "e", "Shift+I", "Ctrl+K", "g i"
  when?: () => boolean
  run: () => unknown
  mail?: boolean // acts on conversations: shown in menus and on rows
}

const hasTarget = () => targets().length > 0
const role = (r: string, account = ofAccount(ui.place)) => mail.box(r, account)?.id
const here = () => (ui.search || ui.place === 'starred' || ui.place === 'unified' ? undefined : ui.place)
// hereOf is the mailbox in which a row stands.
const hereOf = (id: string) => (ui.place === 'unified' && !ui.search ? role('inbox', ofAccount(id)) : here())
// may reports whether one may do something with all that an action is about; what has not
// been loaded the server answers for.
const may = (right: Right, to?: string) => () => { const list = targets(); return list.length > 0 && list.every((th) => mayOn(th, right, to)) }
export function mayOn(th: string, right: Right, to?: string): boolean {
  const account = ofAccount(th), box = to && mail.box(to, account)
  if (!account) return true
  if (to && !(box ? box.myRights.mayAddItems : to === 'trash')) return false
  return mail.thread(th).filter((e) => !hereOf(e.id) || e.mailboxIds[hereOf(e.id)!]).every((e) => mail.may(e, right))
}
const notHere = () => toast(t('Your rights on this mailbox do not allow that.'), undefined, true)
const allOwn = () => hasTarget() && targets().every((th) => !ofAccount(th))

// threadsOf loads what an action must know, where the list has not.
async function emailsOf(threads: string[]): Promise<Email[]> {
  for (const th of threads) if (!mail.threads.has(th)) await mail.loadThread(th)
  return threads.flatMap((th) => mail.thread(th))
}

// next moves focus and reader on when what they show leaves the list.
function next(gone: string[]) {
  const open = gone.includes(ui.thread)
  const first = Math.min(...gone.map((th) => mail.query.indexOf(th)).filter((i) => i >= 0), ui.focus)
  queueMicrotask(() => {
    ui.selected = []
    ui.focus = Math.max(0, Math.min(first, mail.query.length - 1))
    if (!open) return
    const th = look.phone ? undefined : rowThread(ui.focus)
    openThread(th || '', true)
    if (th) openDraftInstead(th)
  })
}

function openDraftInstead(_: string) {}

// A way to a mailbox is its id, or its role in the account that each message is in.
async function move(way: string | undefined, label: (n: number) => string, o: { from?: string; keywords?: Patch; threads?: string[]; role?: string } = {}) {
  const toOf = (id: string) => (o.role ? role(o.role, ofAccount(id)) : way), to = o.role ? role(o.role, ofAccount((o.threads ?? targets())[0])) : way
  if (!to) return toast(t('There is no such mailbox here.'), undefined, true)
  if (ui.all && !o.threads) {
    const account = mail.query.account, from = o.from && role(o.from, account)
    if (ofAccount(to) !== account || o.from && !from) return notHere()
    const patch: Record<string, unknown> = { ...o.keywords, ...(from ? { [`mailboxIds/${from}`]: null, [`mailboxIds/${to}`]: true } : { mailboxIds: { [to]: true } }) }
    ui.all = false; ui.selected = []
    return mail.bulk(patch, (n) => t('Moved {n, plural, one {# message} other {# messages}} to {box}', { n, box: boxName(mail.boxByID(to)!, t) }), from)
  }
  const threads = o.threads ?? targets()
  if (!threads.length) return
  if (o.role && !threads.every((th) => mayOn(th, 'mayRemoveItems', o.role))) return notHere()
  const changes = new Map<string, Patch>(), across: string[] = []
  for (const e of await emailsOf(threads)) {
    const p: Patch = { ...o.keywords }, to = toOf(e.id), account = ofAccount(e.id), trash = role('trash', account), sent = role('sent', account), drafts = role('drafts', account), here = () => hereOf(e.id)
    if (!to) continue
    const from = o.from && role(o.from, account)
    if (ofAccount(to) !== account) {
      if (here() ? e.mailboxIds[here()!] : !(e.mailboxIds[sent!] || e.mailboxIds[drafts!] || e.mailboxIds[trash!])) across.push(e.id)
      continue
    }
    if (o.from) {
      if (!from || !e.mailboxIds[from]) continue
      p[`mailboxIds/${from}`] = null
      if (Object.keys(e.mailboxIds).length === 1) p[`mailboxIds/${to}`] = true
    } else {
      // A conversation moves without what was sent and drafts, unless one looks at those.
      if (!here() && (e.mailboxIds[sent!] || e.mailboxIds[drafts!] || e.mailboxIds[trash!]) || here() && !e.mailboxIds[here()!]) continue
      for (const b in e.mailboxIds) if (b !== to) p[`mailboxIds/${b}`] = null
      if (!e.mailboxIds[to]) p[`mailboxIds/${to}`] = true
    }
    if (Object.keys(p).length) changes.set(e.id, p)
  }
  const leaves = (here() ?? (ui.place === 'unified' && !ui.search)) && here() !== to
  if (across.length) { if (leaves && across.every((id) => mail.may(mail.email(id), 'mayRemoveItems'))) next(threads); void transfer(across, to, leaves ? threads : []) }
  if (!changes.size) return
  if (leaves) next(threads)
  mail.act(changes, label(threads.length), leaves ? threads : [])
  if (o.role === 'archive') did('archive')
}

async function keyword(word: string, on: boolean | 'toggle', label: (on: boolean, n: number) => string, o: { last?: boolean; say?: boolean; threads?: string[] } = {}) {
  if (ui.all && !o.threads) {
    ui.all = false; ui.selected = []
    return mail.bulk({ [`keywords/${word}`]: on ? true : null }, () => label(!!on, mail.query.length))
  }
  const threads = o.threads ?? targets()
  if (!threads.every((th) => mayOn(th, word === '$seen' ? 'maySetSeen' : 'maySetKeywords'))) return notHere()
  const all = await emailsOf(threads)
  const value = on === 'toggle' ? !all.some((e) => e.keywords[word]) : on
  const changes = new Map<string, Patch>()
  for (const th of threads) {
    const list = all.filter((e) => e.threadId === th)
    for (const e of o.last && value ? list.slice(-1) : list) if (!!e.keywords[word] !== value) changes.set(e.id, { [`keywords/${word}`]: value || null })
  }
  if (changes.size) mail.act(changes, label(value, threads.length), [], { say: o.say })
}

export const archive = (threads?: string[]) => move('', (n) => t('Archived {n, plural, one {# conversation} other {# conversations}}', { n }), { role: 'archive', from: here() && here() === role('archive') ? undefined : 'inbox', threads })
export const moveTo = (id: string) => move(id, (n) => t('Moved {n, plural, one {# conversation} other {# conversations}} to {box}', { n, box: boxName(mail.boxByID(id)!, t) }))
export const star = (threads?: string[]) => keyword('$flagged', 'toggle', (on) => (on ? t('Starred') : t('Star removed')), { last: true, say: false, threads })
export const read = (on: boolean, threads?: string[]) => keyword('$seen', on, (on) => (on ? t('Marked as read') : t('Marked as unread')), { threads })
export const trash = async (threads = targets()) => {
  if (here() && here() === role('trash')) {
    const ids = (await emailsOf(threads)).filter((e) => e.mailboxIds[here()!]).map((e) => e.id)
    if (confirm(t('Delete {n, plural, one {# message} other {# messages}} for ever?', { n: ids.length }))) { next(threads); await mail.destroy(ids, threads) }
    return
  }
  if (!threads.every((th) => mayOn(th, 'mayRemoveItems', 'trash'))) return notHere()
  if (threads.some((th) => ofAccount(th) && !role('trash', ofAccount(th)))) { // of others, whose trash one does not see
    const ids = (await emailsOf(threads)).filter((e) => !hereOf(e.id) || e.mailboxIds[hereOf(e.id)!]).map((e) => e.id)
    if (confirm(t('Delete {n, plural, one {# message} other {# messages}} for ever?', { n: ids.length }))) { next(threads); await mail.destroy(ids, threads) }
    return
  }
  return move('', (n) => t('Deleted {n, plural, one {# conversation} other {# conversations}}', { n }), { role: 'trash', threads })
}
export const junk = (threads?: string[]) => here() && here() === role('junk')
  ? move('', (n) => t('Not junk: moved {n, plural, one {# conversation} other {# conversations}} to Inbox', { n }), { role: 'inbox', keywords: { 'keywords/$junk': null, 'keywords/$notjunk': true }, threads })
  : move('', (n) => t('Moved {n, plural, one {# conversation} other {# conversations}} to Junk', { n }), { role: 'junk', keywords: { 'keywords/$junk': true, 'keywords/$notjunk': null }, threads })

// mute takes threads out of the inbox, and the server files what answers in them there,
// read; again it brings them back.
export async function mute(threads = targets()) {
  const all = await emailsOf(threads), inbox = role('inbox'), arch = role('archive'), on = !all.some((e) => e.keywords.$muted), changes = new Map<string, Patch>()
  for (const e of all) {
    const p: Patch = {}
    if (!!e.keywords.$muted !== on) p['keywords/$muted'] = on || null
    if (on && inbox && arch && e.mailboxIds[inbox]) { p[`mailboxIds/${inbox}`] = null; if (Object.keys(e.mailboxIds).length === 1) p[`mailboxIds/${arch}`] = true }
    if (!on && inbox && arch && e.mailboxIds[arch]) { p[`mailboxIds/${arch}`] = null; p[`mailboxIds/${inbox}`] = true }
    if (Object.keys(p).length) changes.set(e.id, p)
  }
  if (!changes.size) return
  if (on) did('mute')
  const leaves = here() === (on ? inbox : arch)
  if (leaves) next(threads)
  const tell = (add: boolean) => client.write([['MutedThread/set', add ? { create: Object.fromEntries(threads.map((threadId) => [threadId, { threadId }])) } : { destroy: threads }]]).catch(() => null)
  mail.act(changes, on ? t('Muted') : t('Unmuted'), leaves ? threads : [], { also: (done) => void tell(done === on) })
}

export const snooze = async (until: Date, said: string) => {
  const threads = targets(), inbox = role('inbox')!, changes = new Map<string, Patch>()
  const all = await emailsOf(threads)
  if (here() === role('snoozed')) await mail.snoozedUntil(all.map((e) => e.id)) // so that undo knows
  for (const e of all) if (e.mailboxIds[inbox] || here() && e.mailboxIds[here()!]) changes.set(e.id, { snoozed: { until: until.toISOString().replace(/\.\d+/, '') } })
  if (!changes.size) return
  const leaves = here() !== role('snoozed')
  if (leaves) next(threads)
  mail.act(changes, t('Snoozed until {when}', { when: said }), leaves ? threads : [])
}
export function snoozeTimes(): { name: string; at: Date }[] {
  const at = (days: number, hour: number) => { const d = new Date(); d.setDate(d.getDate() + days); d.setHours(hour, 0, 0, 0); return d }
  const now = new Date(), monday = (8 - now.getDay()) % 7 || 7
  return [...(now.getHours() < 16 ? [{ name: t('this evening'), at: at(0, 18) }] : []), { name: t('tomorrow'), at: at(1, 8) }, { name: t('Monday'), at: at(monday, 8) }, { name: t('in a month'), at: at(30, 8) }]
}

export async function label(box: string) {
  if (ui.all) {
    ui.all = false; ui.selected = []
    return mail.bulk({ [`mailboxIds/${box}`]: true }, () => t('Label {box} added', { box: mail.boxByID(box)!.name }))
  }
  const all = await emailsOf(targets()), on = !all.every((e) => e.mailboxIds[box])
  const changes = new Map<string, Patch>()
  for (const e of all) if (!!e.mailboxIds[box] !== on && (on || Object.keys(e.mailboxIds).length > 1)) changes.set(e.id, { [`mailboxIds/${box}`]: on || null })
  const b = mail.boxByID(box)!
  if (changes.size) mail.act(changes, on ? t('Label {box} added', { box: b.name }) : t('Label {box} removed', { box: b.name }), [])
}

function focusRow(i: number) {
  ui.focus = Math.max(0, Math.min(i, mail.query.length - 1))
  document.getElementById('list')?.dispatchEvent(new CustomEvent('reveal'))
  if (ui.thread && !look.phone) { const th = rowThread(ui.focus); if (th) openThread(th, true) }
}
// follow sets the focus on a conversation as soon as it is in the list again, unless the reader has gone elsewhere meanwhile.
let followed = 0
function follow(th: string) {
  const mine = ++followed, place = ui.place, at = ui.focus, on = rowThread(at), end = Date.now() + 10_000
  const look = () => {
    if (mine !== followed || ui.place !== place || (ui.focus !== at && rowThread(ui.focus) !== on)) return
    const i = mail.query.indexOf(th)
    if (i >= 0) focusRow(i)
    else if (Date.now() < end) setTimeout(look, 50)
  }
  look()
}
function step(by: number) {
  if (ui.thread) { // open goes with the focus
    const i = mail.query.indexOf(ui.thread)
    if (i >= 0) ui.focus = i
    const th = rowThread(ui.focus + by)
    if (th) { ui.focus += by; openThread(th, true); document.getElementById('list')?.dispatchEvent(new CustomEvent('reveal')) }
  } else focusRow(ui.focus + by)
}
export function toggle(th: string | undefined) {
  if (!th) return
  ui.selected = ui.selected.includes(th) ? ui.selected.filter((x) => x !== th) : [...ui.selected, th]
  if (!ui.selected.length) ui.all = false
}
function selectWhere(f: (e: Email, th: string) => boolean) {
  const out: string[] = []
  for (let i = 0; i < mail.query.ids.length && out.length < 2000; i++) {
    const th = rowThread(i)
    if (th && mail.thread(th).some((e) => f(e, th))) out.push(th)
  }
  ui.selected = out
}
// A mailbox is emptied when one has said so once more, for it does not come back.
const full = (r: string) => !!mail.box(r)?.totalEmails
export const empty = (r: string) => { ui.toEmpty = role(r, '') || ''; ui.overlay = 'empty' }
const goRole = (r: string) => () => { const id = role(r, ''); if (id) go(id) }
const focusSearch = () => document.getElementById('search')?.focus()

// Where contacts are shown, keys and menus are about them, and not about the list behind.
const about = (id: string, group: Group) => (ui.place === 'contacts' ? !/^(This|Move)/.test(group) || id === 'undo' || id === 'redo' : group !== 'Contacts')
const a = (id: string, name: string, group: Group, icon: string, keys: string[], run: () => unknown, o: Partial<Action> = {}): Action => ({ id, name, group, icon, keys, run, ...o, when: () => about(id, group) && (!o.when || o.when()) })
const book = (f: (m: typeof import('../store/contacts.svelte')) => unknown) => () => import('../views/more').then((m) => f(m.book))
const aCard = () => !!ui.card && !ui.cardEdit
const someCards = () => ui.cards.length > 0 || aCard()
const menu = (id: string) => () => document.querySelector<HTMLElement>(`#${id} button`)?.click()

// Kept searches, like everything else, come back with undo.
export function keepView(name: string) {
  const id = crypto.randomUUID().slice(0, 8), before = settings.views, search = ui.search
  const after = { ...before, [id]: { name, search, filter: filterFor('search', search, 'all'), sort: [{ property: 'receivedAt', isAscending: false }] } }
  mail.act(new Map(), t('View {name} kept', { name }), [], { also: (done) => save({ views: done ? after : before }) })
}
function removeView() {
  const id = viewNow(), before = settings.views
  if (!id) return
  const { [id]: gone, ...after } = before
  mail.act(new Map(), t('View {name} removed', { name: gone.name }), [], { also: (done) => save({ views: done ? after : before }) })
}

// addSender opens the sender of the open message in the address book, or the form for a new contact.
async function addSender() {
  const id = ui.message, e = mail.email(id) || mail.thread(targets()[0] || '').at(-1), from = e?.from?.[0]
  if (!from) return
  const { contacts } = (await import('../views/more')).book
  await contacts.sync()
  const c = contacts.all.find((x) => Object.values(x.emails || {}).some((y) => y.address.toLowerCase() === from.email.toLowerCase()))
  go('contacts', { card: c?.uid })
  if (!c) openCard('', true, true, { name: from.name || '', email: from.email })
}

// pane moves the focus between what stands beside each other: mailboxes, list, message.
function pane(step: number) {
  const one = (q: string) => document.querySelector<HTMLElement>(q), all = [one('nav.side a.on') || one('nav.side a'), one('#list'), one('#reader')].filter((x) => !!x?.getClientRects().length)
  const at = all.findIndex((x) => x!.closest('nav.side, .list, .read')?.contains(document.activeElement))
  all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]?.focus()
}

export const actions: Action[] = [
  a('contact-new', 'New contact', 'Contacts', 'user', ['n'], () => openCard('', false, true)),
  a('contact-edit', 'Edit the contact', 'Contacts', 'pen', ['e'], () => (ui.cardEdit = true), { when: aCard }),
  a('contact-delete', 'Delete the contact', 'Contacts', 'trash', ['#', 'Delete'], book((m) => m.remove()), { when: someCards }),
  a('contact-write', 'Write to them', 'Contacts', 'send', ['w', 'r'], book((m) => m.write()), { when: () => someCards() || !!ui.group }),
  a('contact-mail', 'Mail with this person', 'Contacts', 'mailopen', ['m'], () => dispatchEvent(new CustomEvent('contact-mail')), { when: aCard }),
  a('contact-groups', 'Groups…', 'Contacts', 'tag', ['l'], menu('card-groups'), { when: someCards }),
  a('contact-group', 'New group', 'Contacts', 'folder', [], () => (ui.overlay = 'group')),
  a('contact-next', 'Next contact', 'Contacts', 'down', ['j', 'ArrowDown'], book((m) => m.step(1))),
  a('contact-previous', 'Previous contact', 'Contacts', 'up', ['k', 'ArrowUp'], book((m) => m.step(-1))),
  a('contact-select', 'Select the contact', 'Contacts', 'check', ['x'], book((m) => m.select())),
  a('contact-select-all', 'Select all contacts', 'Contacts', 'check', ['* a', 'Ctrl+A'], book((m) => m.selectAll())),
  a('contact-back', 'Back to the contacts', 'Contacts', 'back', ['u', 'Escape'], () => { if (ui.cards.length) ui.cards = []; else if (ui.card || ui.cardEdit) openCard(ui.cardEdit ? ui.card : ''); else goRole('inbox')() }),
  a('contact-search', 'Search contacts', 'Contacts', 'search', ['/'], () => document.getElementById('find-contact')?.focus()),
  a('contact-import', 'Import contacts…', 'Contacts', 'save', [], () => document.getElementById('contact-file')?.click()),
  a('contact-export', 'Export contacts', 'Contacts', 'draft', [], book((m) => m.give())),
  a('contact-twins', 'Find duplicate contacts', 'Contacts', 'filter', [], () => (ui.overlay = 'twins')),
  a('archive', 'Archive', 'This conversation', 'arch', ['e'], () => archive(), { when: may('mayRemoveItems', 'archive'), mail: true }),
  a('trash', 'Delete', 'This conversation', 'trash', ['#', 'Delete'], () => trash(), { when: may('mayRemoveItems', 'trash'), mail: true }),
  a('junk', 'Junk', 'This conversation', 'spam', ['!'], () => junk(), { when: may('mayRemoveItems', 'junk'), mail: true }),
  a('star', 'Star', 'This conversation', 'star', ['s'], () => star(), { when: may('maySetKeywords'), mail: true }),
  a('read', 'Mark as read', 'This conversation', 'mailopen', ['Shift+I'], () => read(true), { when: may('maySetSeen'), mail: true }),
  a('unread', 'Mark as unread', 'This conversation', 'mail', ['Shift+U'], () => read(false), { when: may('maySetSeen'), mail: true }),
  a('move', 'Move to…', 'This conversation', 'folder', ['v'], () => (ui.overlay = 'move'), { when: hasTarget, mail: true }),
  a('label', 'Label…', 'This conversation', 'tag', ['l'], () => (ui.overlay = 'label'), { when: allOwn, mail: true }),
  a('snooze', 'Snooze…', 'This conversation', 'clock', ['h'], () => (ui.overlay = 'snooze'), { when: allOwn, mail: true }),
  a('mute', 'Mute', 'This conversation', 'mute', ['m'], () => mute(), { when: allOwn, mail: true }),
  a('rule', 'Always do this with mail like this…', 'This conversation', 'filter', [], () => { const list = mail.thread(targets()[0] || ''); ui.ruleFrom = (ui.thread && ui.message) || list[list.length - 1]?.id || ''; ui.overlay = 'rules' }, { when: allOwn }),
  a('add-sender', 'Sender in contacts', 'This conversation', 'user', [], addSender, { when: () => !!ui.thread }),
  a('archive-next', 'Archive and go to the next', 'This conversation', 'arch', [']'], () => archive(), { when: () => !!ui.thread && may('mayRemoveItems', 'archive')() }),
  a('undo', 'Undo', 'This conversation', 'undo', ['z', 'Ctrl+Z'], () => { const op = mail.undo(); if (op?.hides.length) follow(op.hides[0]) }, { when: () => mail.canUndo }),
  a('redo', 'Redo', 'This conversation', 'undo', ['Shift+Z'], () => mail.redo()),
  a('next', 'Next conversation', 'Move through the list', 'down', ['j', 'ArrowDown'], () => step(1)),
  a('previous', 'Previous conversation', 'Move through the list', 'up', ['k', 'ArrowUp'], () => step(-1)),
  a('open', 'Open', 'Move through the list', 'mailopen', ['o', 'Enter'], () => { const th = rowThread(ui.focus); if (th) openThread(th) }, { when: () => !ui.thread || look.phone }),
  a('back', 'Back to the list', 'Move through the list', 'back', ['u', 'Escape'], () => { if (ui.selected.length) { ui.selected = []; ui.all = false } else if (ui.thread) openThread(''); else if (ui.search) goRole('inbox')() }),
  a('next-message', 'Next message of the conversation', 'Move through the list', 'down', ['n'], () => dispatchEvent(new CustomEvent('message', { detail: 1 })), { when: () => !!ui.thread }),
  a('previous-message', 'Previous message of the conversation', 'Move through the list', 'up', ['p'], () => dispatchEvent(new CustomEvent('message', { detail: -1 })), { when: () => !!ui.thread }),
  a('first', 'First conversation', 'Move through the list', 'up', ['Home'], () => focusRow(0)),
  a('last', 'Last conversation', 'Move through the list', 'down', ['End'], () => focusRow(mail.query.length - 1)),
  a('page-down', 'Ten down', 'Move through the list', 'down', ['PageDown'], () => focusRow(ui.focus + 10)),
  a('page-up', 'Ten up', 'Move through the list', 'up', ['PageUp'], () => focusRow(ui.focus - 10)),
  a('select', 'Select', 'Move through the list', 'check', ['x'], () => toggle(rowThread(ui.focus))),
  a('select-down', 'Select downwards', 'Move through the list', 'check', ['Shift+ArrowDown', 'Shift+J'], () => { const th = rowThread(ui.focus); if (th && !ui.selected.includes(th)) toggle(th); focusRow(ui.focus + 1); const to = rowThread(ui.focus); if (to && !ui.selected.includes(to)) toggle(to) }),
  a('select-up', 'Select upwards', 'Move through the list', 'check', ['Shift+ArrowUp', 'Shift+K'], () => { const th = rowThread(ui.focus); if (th && !ui.selected.includes(th)) toggle(th); focusRow(ui.focus - 1); const to = rowThread(ui.focus); if (to && !ui.selected.includes(to)) toggle(to) }),
  a('select-all', 'Select all', 'Move through the list', 'check', ['* a', 'Ctrl+A'], () => selectWhere(() => true)),
  a('select-none', 'Select none', 'Move through the list', 'x', ['* n'], () => { ui.selected = []; ui.all = false }),
  a('select-read', 'Select read', 'Move through the list', 'check', ['* r'], () => selectWhere((e) => !!e.keywords.$seen)),
  a('select-unread', 'Select unread', 'Move through the list', 'check', ['* u'], () => selectWhere((e) => !e.keywords.$seen)),
  a('select-starred', 'Select starred', 'Move through the list', 'check', ['* s'], () => selectWhere((e) => !!e.keywords.$flagged)),
  a('compose', 'Compose', 'Write', 'pen', ['c'], () => compose()),
  a('reply', 'Reply', 'Write', 'reply', ['r'], () => reply(false), { when: () => !!ui.thread }),
  a('reply-all', 'Reply to all', 'Write', 'replyall', ['a'], () => reply(true), { when: () => !!ui.thread }),
  a('forward', 'Forward', 'Write', 'forward', ['f'], () => forward(), { when: () => !!ui.thread }),
  a('search', 'Search', 'Go to', 'search', ['/'], focusSearch),
  a('inbox', 'Inbox', 'Go to', 'inbox', ['g i'], goRole('inbox')),
  a('unified', 'All inboxes', 'Go to', 'inbox', ['g u'], () => go('unified'), { when: () => mail.shared.length > 0 && inboxes().length > 1 }),
  a('starred', 'Starred', 'Go to', 'star', ['g s'], () => go('starred')),
  a('drafts', 'Drafts', 'Go to', 'draft', ['g d'], goRole('drafts')),
  a('sent', 'Sent', 'Go to', 'send', ['g t'], goRole('sent')),
  a('archived', 'Archive|mailbox', 'Go to', 'arch', ['g a'], goRole('archive')),
  a('junked', 'Junk|mailbox', 'Go to', 'spam', ['g j'], goRole('junk')),
  a('trashed', 'Trash', 'Go to', 'trash', ['g x'], goRole('trash')),
  a('contacts', 'Contacts', 'Go to', 'user', ['g c'], () => go('contacts')),
  a('pane-next', 'Next pane', 'Go to', 'list', ['F6'], () => pane(1)),
  a('pane-previous', 'Previous pane', 'Go to', 'list', ['Shift+F6'], () => pane(-1)),
  a('palette', 'Command palette', 'View', 'palette', ['Ctrl+K'], () => { ui.paletteText = ''; ui.overlay = 'palette' }),
  a('more', 'More actions', 'View', 'more', ['.'], () => { ui.paletteText = ''; ui.overlay = 'palette' }),
  a('help', 'Keyboard shortcuts', 'View', 'keys', ['?'], () => (ui.overlay = 'help')),
  a('settings', 'Settings', 'View', 'gear', ['Ctrl+,'], () => (ui.overlay = 'settings')),
  a('pane', 'Move the reading pane', 'View', 'list', ['Shift+P'], () => save({ pane: settings.pane === 'right' ? 'below' : settings.pane === 'below' ? 'off' : 'right' }), { when: () => !look.phone }),
  a('empty-trash', 'Empty Trash…', 'View', 'trash', [], () => empty('trash'), { when: () => full('trash') }),
  a('empty-junk', 'Empty Junk…', 'View', 'spam', [], () => empty('junk'), { when: () => full('junk') }),
  a('mailboxes', 'Mailboxes and sharing', 'View', 'folder', [], () => { lookPush(); ui.overlay = 'mailboxes' }),
  a('transfer', 'Import and export', 'Account', 'save', [], () => (ui.overlay = 'transfer')),
  a('rules', 'Rules', 'View', 'filter', [], () => (ui.overlay = 'rules')),
  a('away', 'Away', 'View', 'out', [], () => (ui.overlay = 'away')),
  a('dark', 'Switch between light and dark', 'View', 'moon', ['Shift+T'], () => save({ theme: look.dark ? 'light' : 'dark' })),
  a('density', 'Change the density', 'View', 'menu', [], () => save({ density: settings.density === 'compact' ? 'cosy' : settings.density === 'cosy' ? 'comfy' : 'compact' })),
  a('original', 'Show the original colours', 'View', 'img', ['Shift+D'], () => dispatchEvent(new CustomEvent('original')), { when: () => !!ui.thread }),
  a('arrived', 'Did my message arrive?', 'View', 'send', [], () => { ui.sourceOf = ui.message; ui.overlay = 'trace' }, { when: () => !!ui.thread && isMine(mail.email(ui.message)) }),
  a('origin', 'How did this come here?', 'View', 'globe', [], () => { ui.sourceOf = ui.message; ui.overlay = 'trace' }, { when: () => !!ui.thread && !!ui.message && !isMine(mail.email(ui.message)) }),
  a('headers', 'Show headers', 'View', 'list', [], () => { ui.sourceOf = ui.message; ui.overlay = 'headers' }, { when: () => !!ui.thread }),
  a('source', 'Show source', 'View', 'code', [], () => { ui.sourceOf = ui.message; ui.overlay = 'source' }, { when: () => !!ui.thread }),
  a('print', 'Print', 'View', 'print', ['Ctrl+P'], () => window.print(), { when: () => !!ui.thread }),
  a('view-keep', 'Keep as a view', 'View', 'filter', [], () => (ui.overlay = 'view'), { when: () => !!ui.search && !viewNow() }),
  a('view-remove', 'Remove the view', 'View', 'filter', [], removeView, { when: () => !!viewNow() }),
  a('refresh', 'Look for new mail', 'View', 'refresh', [], () => mail.sync()),
  a('sign-out', 'Sign out', 'Account', 'out', [], () => signOut()),
]

export const action = (id: string) => actions.find((x) => x.id === id)!
export { closeComposer }

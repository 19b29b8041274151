// What is on the screen: the place, the focus, the selection, the overlays. The URL is
// /mail/{mailbox}/{thread}, or /mail/search?q=….
import { mail, type Asked } from './mail.svelte'
import { ofAccount } from '../jmap/accounts'
import { parseSearch } from './search'
import { look, settings } from './settings.svelte'
import type { Part } from '../jmap/types'

export interface ComposeSeed {
  to?: string; cc?: string; bcc?: string; subject?: string; html?: string; text?: string; inReplyTo?: string[]; references?: string[]
  draft?: string; from?: string; account?: string; receipt?: boolean; answered?: { id: string; keyword: string }; key?: string; thread?: string; messageId?: string; cameTo?: string
  parts?: { blobId: string; type: string; name: string; size: number; cid?: string | null; disposition?: string | null }[]
}
export interface Composer { id: number; seed: ComposeSeed; small: boolean; full: boolean }

export const ui = $state({
  place: '', // mailbox id, or "search", "starred", "unified", "contacts"
  search: '', filter: 'all' as 'all' | 'unread' | 'starred',
  thread: '', // open in the reader
  focus: 0, // row
  selected: [] as string[], all: false,
  overlay: '' as '' | 'palette' | 'help' | 'move' | 'label' | 'snooze' | 'snooze-at' | 'settings' | 'menu' | 'source' | 'headers' | 'trace' | 'mailboxes' | 'preview' | 'rules' | 'away' | 'search' | 'group' | 'twins' | 'view' | 'empty' | 'transfer',
  preview: { files: [] as Part[], at: 0 }, ruleFrom: '',
  card: '', cards: [] as string[], cardFocus: '', cardEdit: false, cardSeed: { name: '', email: '' }, group: '', // contacts, by uid
  paletteText: '', menuFor: '', toEmpty: '' /* a mailbox */, sidebar: false, sourceOf: '',
  composers: [] as Composer[],
  signedIn: false, expired: false, quote: '', message: '',
})

let n = 0
export function compose(seed: ComposeSeed = {}) {
  const old = seed.draft && ui.composers.find((c) => c.seed.draft === seed.draft)
  if (old) { old.small = false; return }
  if (ui.composers.length >= 3) ui.composers.shift()
  ui.composers.push({ id: ++n, seed, small: false, full: look.phone })
}
export function closeComposer(id: number) { ui.composers = ui.composers.filter((c) => c.id !== id) }

// queryFor says what a list is made of: of one account, or of all for searches and the inbox of all.
export function queryFor(place: string, search: string, filter: string): Asked[] {
  if (search) return ['', ...mail.shared.map((s) => s.id)].map((account) => ({ account, filter: filterFor(place, search, filter, account) }))
  if (place === 'unified') return inboxes().map((b) => ({ account: ofAccount(b.id), filter: filterFor(b.id, '', filter) }))
  return [{ account: ofAccount(place), filter: filterFor(place, '', filter) }]
}
export const inboxes = () => ['', ...mail.shared.map((s) => s.id)].map((a) => mail.box('inbox', a)).filter((b) => !!b)

export function filterFor(place: string, search: string, filter: string, account = ''): any {
  const conditions: any[] = []
  if (search) conditions.push(parseSearch(search, mail.boxesOf(account)))
  else if (place === 'contacts') conditions.push({ inMailbox: mail.box('inbox')?.id || '' })
  else if (place === 'starred') conditions.push({ hasKeyword: '$flagged' })
  else conditions.push({ inMailbox: place })
  if (filter === 'unread') conditions.push({ notKeyword: '$seen' })
  if (filter === 'starred') conditions.push({ hasKeyword: '$flagged' })
  return conditions.length > 1 ? { operator: 'AND', conditions } : conditions[0]
}

export function go(place: string, o: { thread?: string; search?: string; filter?: typeof ui.filter; replace?: boolean; card?: string } = {}) {
  const search = o.search ?? ''
  const moved = place !== ui.place || search !== ui.search || (o.filter ?? 'all') !== ui.filter
  ui.place = place; ui.search = search; ui.filter = o.filter ?? 'all'
  ui.thread = o.thread ?? ''
  ui.overlay = ''; ui.sidebar = false
  if (place === 'contacts') { ui.card = o.card ?? ''; ui.cardEdit = false; ui.cards = [] }
  else if (moved) {
    ui.focus = 0; ui.selected = []; ui.all = false
    mail.ask(queryFor(place, search, ui.filter))
  }
  remember(o.replace)
}

// openCard shows a contact, or with an empty seed the form of a new one.
export function openCard(uid: string, replace = false, edit = false, seed = { name: '', email: '' }) {
  ui.card = uid; ui.cardEdit = edit; ui.cardSeed = seed
  if (uid) ui.cardFocus = uid
  remember(replace)
}

export function openThread(thread: string, replace = false) {
  ui.thread = thread
  remember(replace)
}

// Browsers count changes of the address, and each costs time: what passes by within a
// moment is not noted.
let timer = 0, passing = ''
function remember(replace = false) {
  const name = ui.search ? 'search' : ui.place
  const path = `/mail/${encodeURIComponent(name)}${ui.place === 'contacts' ? (ui.card ? '/' + encodeURIComponent(ui.card) : '') : ui.thread ? '/' + ui.thread : ''}${ui.search ? '?q=' + encodeURIComponent(ui.search) : ''}`
  // A conversation over the list is a step back on a phone; beside it, it is not.
  if (replace || !look.phone && ui.thread) {
    passing = path
    clearTimeout(timer)
    timer = window.setTimeout(note, 150)
    return
  }
  note()
  if (path !== here()) history.pushState(null, '', path)
}
const here = () => location.pathname + location.search
function note() {
  clearTimeout(timer)
  if (passing && passing !== here()) history.replaceState(null, '', passing)
  passing = ''
}
addEventListener('pagehide', note)

export function fromURL(): { place: string; thread: string; search: string; card: string } {
  const m = location.pathname.match(/^\/mail\/([^/]+)(?:\/(?:((?:A\d+~)?T\d+)$|([^/]+)))?/)
  const search = new URLSearchParams(location.search).get('q') || ''
  let place = m ? decodeURIComponent(m[1]) : ''
  if (!search && place !== 'starred' && place !== 'contacts' && !(place === 'unified' && mail.shared.length) && !mail.boxByID(place)) place = mail.box('inbox')?.id || mail.boxes[0]?.id || ''
  return { place, thread: m?.[2] || '', search, card: place === 'contacts' && m ? decodeURIComponent(m[2] || m[3] || '') : '' }
}

export function placeName(t: (s: string) => string): string {
  if (ui.search) { const v = viewNow(); return v ? settings.views[v].name : t('Search') }
  if (ui.place === 'starred') return t('Starred')
  if (ui.place === 'contacts') return t('Contacts')
  if (ui.place === 'unified') return t('All inboxes')
  const b = mail.boxByID(ui.place), whose = ofAccount(ui.place)
  return b ? boxName(b, t) + (whose ? ` · ${accountName(whose)}` : '') : ''
}
// viewNow is the id of the kept search that is shown.
export const viewNow = () => (ui.search ? Object.keys(settings.views).find((k) => settings.views[k].search === ui.search) : undefined)
export const accountName = (id: string) => mail.shared.find((s) => s.id === id)?.name || ''
const roleNames: Record<string, string> = { inbox: 'Inbox', sent: 'Sent', drafts: 'Drafts', archive: 'Archive|mailbox', junk: 'Junk|mailbox', trash: 'Trash', snoozed: 'Snoozed', scheduled: 'Scheduled', all: 'All mail' }
export const boxName = (b: { name: string; role: string | null }, t: (s: string) => string) => (b.role && roleNames[b.role] ? t(roleNames[b.role]) : b.name)
// boxPath is the name with those that it is below: of "Topic" there may be many.
export function boxPath(b: { name: string; role: string | null; parentId: string | null }, t: (s: string) => string): string {
  let path = boxName(b, t)
  for (let p = mail.boxByID(b.parentId || ''), n = 0; p && n < 50; p = mail.boxByID(p.parentId || ''), n++) path = `${boxName(p, t)} / ${path}`
  return path
}

// rowThread is the thread of a visible row.
export function rowThread(i: number): string | undefined {
  const id = mail.query?.id(i)
  return id ? mail.emails.get(id)?.threadId : undefined
}

// targets are the threads that an action is about: the selection, else what is open or
// has the focus.
export function targets(): string[] {
  if (ui.selected.length) return [...ui.selected]
  const row = ui.thread || rowThread(ui.focus)
  return row ? [row] : []
}

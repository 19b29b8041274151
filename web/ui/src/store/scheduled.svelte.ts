// Messages that the server holds until their time: submissions that are pending.
import { client, pick, JMAPError } from '../jmap/client'
import { ofAccount, inAccount } from '../jmap/accounts'
import { mail } from './mail.svelte'
import { compose } from './ui.svelte'
import { toast, drop, type Toast } from './toasts.svelte'
import { t, whenDate } from '../kit/i18n'

export interface Held { id: string; identityId: string; emailId: string; sendAt: string; envelope: { mailFrom: { email: string; parameters: Record<string, string> | null }; rcptTo: unknown[] } }

export const scheduled = $state({ rev: 0, days: 365 })
const held = new Map<string, Held>()
let asking: Promise<void> | null = null

export const heldOf = (emailId: string): Held | undefined => (scheduled.rev, held.get(emailId))

// loadHeld asks which messages wait.
export function loadHeld(): Promise<void> {
  asking ??= (async () => {
    try {
      const accounts = ['', ...mail.shared.filter((s) => s.identities.length).map((s) => s.id)]
      const lists = await Promise.all(accounts.map(async (a) => pick(await client.read([['EmailSubmission/query', { ...inAccount(a), filter: { undoStatus: 'pending' }, limit: 500 }],
        ['EmailSubmission/get', { ...inAccount(a), '#ids': { resultOf: 0, name: 'EmailSubmission/query', path: '/ids' }, properties: ['id', 'identityId', 'emailId', 'sendAt', 'envelope'] }]]), 1).list as Held[]))
      held.clear()
      for (const s of lists.flat()) held.set(s.emailId, s)
      scheduled.rev++
    } catch { /* asked again when it is looked at */ } finally { asking = null }
  })()
  return asking
}

// scheduledMailbox is the mailbox of what waits, made when it is first needed. Where one may not
// make it, in an account of somebody else, there is none: what waits stays with the drafts.
export async function scheduledMailbox(account = ''): Promise<string> {
  const b = mail.box('scheduled', account)
  if (b) return b.id
  const r = pick(await client.write([['Mailbox/set', { ...inAccount(account), create: { s: { name: 'Scheduled', parentId: null } } }]]), 0)
  if (!r.created?.s && account) return ''
  if (!r.created?.s) throw new JMAPError(r.notCreated?.s?.type || 'serverFail', r.notCreated?.s?.description)
  return r.created.s.id
}

export const utc = (d: Date) => d.toISOString().replace(/\.\d+/, '')

// instead takes a submission back and makes another of the same message in one request.
async function instead(h: Held, parameters: Record<string, string> | null, onSend: unknown, update: unknown): Promise<string> {
  const r = pick(await client.write([['EmailSubmission/set', { ...inAccount(ofAccount(h.id)), update: { [h.id]: { undoStatus: 'canceled' } } }]]), 0)
  if (r.notUpdated?.[h.id]) throw new JMAPError(r.notUpdated[h.id].type)
  const s = { identityId: h.identityId, emailId: h.emailId, envelope: { mailFrom: { email: h.envelope.mailFrom.email, parameters }, rcptTo: h.envelope.rcptTo }, ...(onSend ? { onSend } : {}) }
  const made = pick(await client.write([['EmailSubmission/set', { ...inAccount(ofAccount(h.id)), create: { s }, ...(update ? { onSuccessUpdateEmail: { '#s': update } } : {}) }]]), 0)
  if (made.notCreated?.s) throw new JMAPError(made.notCreated.s.type, made.notCreated.s.description)
  return made.created.s.id
}

// moves is what becomes of the message when it goes.
export function moves(from: string | undefined, account: string): Record<string, true | null> {
  const sent = mail.box('sent', account)?.id, p: Record<string, true | null> = { 'keywords/$draft': null }
  if (from) p[`mailboxIds/${from}`] = null
  if (sent) p[`mailboxIds/${sent}`] = true
  return p
}

// gone is what becomes of what waits, out of where it waits.
function gone(h: Held) {
  const account = ofAccount(h.id)
  return moves((mail.box('scheduled', account) || mail.box('drafts', account))?.id, account)
}

export async function changeTime(h: Held, at: Date) {
  try {
    await instead(h, { HOLDUNTIL: utc(at) }, gone(h), null)
    toast(t('Goes out {when}', { when: whenDate(at) }))
  } catch { toast(t('It was sent already.'), undefined, true) }
  await loadHeld()
  mail.sync()
}

export async function sendHeldNow(h: Held) {
  try {
    await instead(h, null, null, gone(h))
    toast(t('Sent'))
  } catch { toast(t('It was sent already.'), undefined, true) }
  await loadHeld()
  mail.sync()
}

// takeBack makes a draft again of what waits, and opens it.
export async function takeBack(id: string, emailId: string, open: () => void): Promise<boolean> {
  try {
    const account = ofAccount(id), where = inAccount(account), r = pick(await client.write([['EmailSubmission/set', { ...where, update: { [id]: { undoStatus: 'canceled' } } }]]), 0)
    if (r.notUpdated?.[id]) throw new JMAPError(r.notUpdated[id].type)
    const p: Record<string, true | null> = { [`mailboxIds/${mail.box('drafts', account)?.id}`]: true, 'keywords/$draft': true }
    for (const role of ['sent', 'scheduled']) { const b = mail.box(role, account); if (b) p[`mailboxIds/${b.id}`] = null }
    pick(await client.write([['Email/set', { ...where, update: { [emailId]: p } }]]), 0)
    forgetSending(id)
    open()
    await loadHeld()
    mail.sync()
    return true
  } catch {
    toast(t('It was sent already.'), undefined, true)
    return false
  }
}

// What is being sent at this moment is noted in the browser, so that a page that is
// opened meanwhile can still take it back.
interface Sending { id: string; emailId: string; until: number }
const key = 'sending'
export function noteSending(s: Sending) { try { localStorage.setItem(key, JSON.stringify(s)) } catch { /* full */ } }
export function forgetSending(id: string) {
  try { if (JSON.parse(localStorage.getItem(key) || '{}').id === id) localStorage.removeItem(key) } catch { localStorage.removeItem(key) }
}

export function resumeSending() {
  let s: Sending
  try { s = JSON.parse(localStorage.getItem(key) || 'null') } catch { return }
  const left = s ? Math.ceil((s.until - Date.now()) / 1000) : 0
  if (left < 1) { localStorage.removeItem(key); return }
  sayHeld(s.id, s.emailId, left, () => compose({ draft: s.emailId }))
}

// sayHeld shows that a message is about to go, and lets one take it back or hurry it.
export function sayHeld(id: string, emailId: string, seconds: number, again: () => void) {
  let over = false
  const shown: Toast = toast(t('Sending'), [
    { text: t('Undo'), run: () => { over = true; takeBack(id, emailId, again) } },
    { text: t('Send now'), run: async () => { over = true; await loadHeld(); const h = held.get(emailId); if (h) await sendHeldNow(h); forgetSending(id) } },
  ], false, seconds)
  setTimeout(() => { if (over) return; drop(shown.id); forgetSending(id); toast(t('Sent')) }, seconds * 1000)
}

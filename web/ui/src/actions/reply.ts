// Answers: who gets them, what they quote.
import { mail } from '../store/mail.svelte'
import { ui, compose, type ComposeSeed } from '../store/ui.svelte'
import { client } from '../jmap/client'
import { ofAccount } from '../jmap/accounts'
import type { Address, Detail } from '../jmap/types'
import { fullDate, t } from '../kit/i18n'
import { toast } from '../store/toasts.svelte'

export const show = (x: Address) => (x.name ? `${/[",<>@;:\\]/.test(x.name) ? '"' + x.name.replace(/["\\]/g, '\\$&') + '"' : x.name} <${x.email}>` : x.email)
export const showAll = (l: Address[] | null | undefined) => (l || []).map(show).join(', ')
const mine = (e: string) => mail.senders.some((i) => i.email.toLowerCase() === e.toLowerCase())
export const isMine = (e: { from: Address[] | null } | undefined) => !!e?.from?.some((x) => mine(x.email))
const escape = (s: string) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

async function last(): Promise<Detail | undefined> {
  await mail.loadThread(ui.thread)
  const drafts = mail.box('drafts')?.id || ''
  const list = mail.thread(ui.thread).filter((e) => !e.mailboxIds[drafts])
  const id = ui.message && list.some((e) => e.id === ui.message) ? ui.message : list[list.length - 1]?.id
  return id ? mail.details.get(id) : undefined
}

async function quoted(d: Detail): Promise<string> {
  try {
    const r = await fetch(client.bodyURL(d.id) + '/quote', { headers: { 'X-Posthouse-Client': '1' } })
    if (r.ok) return r.text()
  } catch { // without the server, what this device kept; the editor takes of it what it takes of anything
    const kept = await (await caches.match(client.bodyURL(d.id), { cacheName: 'bodies' }).catch(() => null))?.text(), body = kept?.match(/<body[^>]*>([^]*)<\/body>/i)?.[1].replace(/<(script|style)\b[^]*?<\/\1>/gi, '')
    if (body) return body
  }
  return escape(d.preview)
}

const prefixed = (p: string, s: string | null) => (new RegExp(`^\\s*${p}:`, 'i').test(s || '') ? s || '' : `${p}: ${s || ''}`)

function threading(d: Detail): Pick<ComposeSeed, 'inReplyTo' | 'references'> {
  return { inReplyTo: d.messageId || [], references: [...(d.references || d.inReplyTo || []), ...(d.messageId || [])] }
}

// answerer is who answers: whom it came to, in the account that it is in before one's own; from an
// account that one may send for, that one.
function answerer(d: Detail): Pick<ComposeSeed, 'from' | 'account' | 'cameTo'> {
  const to = [...(d.to || []), ...(d.cc || []), ...(d.from || [])]
  for (const account of new Set([ofAccount(d.id), ''])) {
    const x = to.map((x) => mail.sender(account, x.email)).find((i) => i) || (account ? mail.senders.find((i) => ofAccount(i.id) === account) : undefined)
    if (x) return { from: x.email, account, cameTo: d.from?.some((f) => f.email === x.email) ? undefined : x.email }
  }
  return {}
}

export async function reply(all: boolean) {
  try {
    const d = await last()
    if (!d) return
    const own = d.from?.some((x) => mine(x.email))
    const to = own ? d.to || [] : d.replyTo?.length ? d.replyTo : d.from || []
    const seen = new Set(to.map((x) => x.email.toLowerCase()))
    const cc = all ? [...(own ? [] : d.to || []), ...(d.cc || [])].filter((x) => !mine(x.email) && !seen.has(x.email.toLowerCase())) : []
    const who = d.from?.[0]?.name || d.from?.[0]?.email || ''
    const body = ui.quote ? `<p>${escape(ui.quote).replaceAll('\n', '<br>')}</p>` : await quoted(d)
    compose({
      to: showAll(to), cc: showAll(cc), subject: prefixed('Re', d.subject), ...threading(d), ...answerer(d), thread: d.threadId,
      html: `<div><br></div><div>${escape(t('On {date}, {who} wrote:', { date: fullDate(d.sentAt || d.receivedAt), who }))}</div><blockquote type="cite">${body}</blockquote>`,
      answered: { id: d.id, keyword: '$answered' },
    })
  } catch { toast(t('The message could not be loaded. Try again.'), undefined, true) }
}

export async function forward() {
  try {
    const d = await last()
    if (!d) return
    const { from, account } = answerer(d)
    const head = [[t('From'), showAll(d.from)], [t('Date'), fullDate(d.sentAt || d.receivedAt)], [t('Subject'), d.subject || ''], [t('To'), showAll(d.to)]]
    compose({
      subject: prefixed('Fwd', d.subject), references: [...(d.references || []), ...(d.messageId || [])], from, account, answered: { id: d.id, keyword: '$forwarded' },
      html: `<div><br></div><div>${escape(t('Forwarded message'))}</div>${head.map(([k, v]) => `<div><b>${escape(k)}:</b> ${escape(v)}</div>`).join('')}<div><br></div>${await quoted(d)}`,
      parts: d.attachments.map((p) => ({ blobId: p.blobId, type: p.type, name: p.name || 'attachment', size: p.size, cid: p.cid, disposition: p.disposition })),
    })
  } catch { toast(t('The message could not be loaded. Try again.'), undefined, true) }
}

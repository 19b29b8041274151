// What one should know before a message goes: all of it is said at once, in one place.
import { client, pick } from '../jmap/client'
import { mail } from './mail.svelte'
import { parseAddresses, type Draft } from './drafts'
import { wroteTo } from './people.svelte'
import { t } from '../kit/i18n'

export interface Warning { text: string; fix?: { text: string; from: string; to: string } }

// Words for an attachment, in the languages of the client.
const attachment = /\b(attach(ed|ment|ments|ing)?|enclosed|anbei|angehängt|anhang|anhänge|beigefügt|ci-joint|pi[eè]ces? jointes?|joins?|adjunt[oa]s?|anexo)\b|مرفق|المرفق|添付/i
// own is what one wrote: without the quote and what stands below the signature.
const own = (text: string) => text.split(/\n(?:-- \n|>|.{0,80}(?:wrote|schrieb|a écrit|escribió)\b.*:)/)[0]

export const mentionsAttachment = (text: string) => attachment.test(own(text))

const most = 20

// local are the checks that need nobody.
export function localChecks(d: Draft): Warning[] {
  const out: Warning[] = [], to = parseAddresses([d.to, d.cc, d.bcc].filter(Boolean).join(','))
  if (mentionsAttachment(d.text) && !d.files.some((f) => f.disposition !== 'inline')) out.push({ text: t('You wrote of an attachment, but there is none.') })
  if (!d.subject.trim()) out.push({ text: t('There is no subject.') })
  if (to.length > most) out.push({ text: t('This goes to {n} people.', { n: to.length }) })
  if (d.cameTo && d.cameTo.toLowerCase() !== d.from.toLowerCase() && mail.senders.some((i) => i.email.toLowerCase() === d.cameTo!.toLowerCase())) out.push({ text: t('The mail came to {to}, and you answer as {from}.', { to: d.cameTo, from: d.from }) })
  const host = (e: string) => e.split('@')[1]?.toLowerCase() || '', mine = host(d.from)
  const outside = to.filter((a) => host(a.email) !== mine)
  if (d.inReplyTo?.length && to.length > 2 && outside.length === 1) out.push({ text: t('{address} is outside of {domain}, and all others are inside.', { address: outside[0].email, domain: mine }) })
  return out
}

// serverChecks asks what the server knows of the addresses. Where it does not answer
// soon, the message goes without.
export async function serverChecks(d: Draft): Promise<Warning[]> {
  const to = parseAddresses([d.to, d.cc, d.bcc].filter(Boolean).join(',')).map((a) => a.email)
  const fresh = to.filter((a) => !wroteTo(a)).slice(0, 100)
  if (!fresh.length) return []
  const late = new Promise<null>((r) => setTimeout(() => r(null), 4000))
  try {
    const out = await Promise.race([client.read([['Recipient/check', { addresses: fresh }]]), late])
    if (!out) return []
    const list: Warning[] = []
    for (const r of pick(out, 0).list as { address: string; status: string; suggestion: string | null }[]) {
      const fix = r.suggestion ? { text: t('Correct it'), from: r.address, to: r.suggestion } : undefined
      if (r.status === 'noMail') list.push({ text: t('{address}: this domain takes no mail.', { address: r.address }), fix })
      else if (r.status === 'noMailbox') list.push({ text: t('{address}: nobody here has this address.', { address: r.address }), fix })
      else if (fix) list.push({ text: t('{address}: did you mean {other}?', { address: r.address, other: fix.to }), fix })
    }
    return list
  } catch { return [] }
}

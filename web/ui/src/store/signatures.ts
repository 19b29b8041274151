// Signatures: one for each identity, kept at the server; where there is none, the one
// of the settings.
import { client, pick } from '../jmap/client'
import { mail } from './mail.svelte'
import { settings } from './settings.svelte'
import { toast } from './toasts.svelte'
import { why } from '../kit/why'
import { t } from '../kit/i18n'

export function signatureOf(email: string, account = ''): string {
  return (mail.sender(account, email)?.textSignature || (account ? '' : settings.signature)).trim()
}
const escape = (s: string) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
export const htmlOf = (sig: string) => `<div>-- <br>${escape(sig).replaceAll('\n', '<br>')}</div>`

// saveIdentity changes name or signature of an identity at the server.
export async function saveIdentity(id: string, patch: { name?: string; textSignature?: string }) {
  try {
    const r = pick(await client.write([['Identity/set', { update: { [id]: patch } }]]), 0)
    if (r.notUpdated?.[id]) throw new Error(r.notUpdated[id].description || r.notUpdated[id].type)
    mail.identities = mail.identities.map((i) => (i.id === id ? { ...i, ...patch } : i))
  } catch (e) { toast(t('Not saved: {why}', { why: why(e) }), undefined, true) }
}

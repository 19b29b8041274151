// Invitations: the server reads them and sends the answers (docs/jmap.md); what is left
// for the client is to find the one that counts, and to say its times.
import { ofAccount, inAccount } from '../jmap/accounts'
import { client, pick, JMAPError } from '../jmap/client'
import { mail } from './mail.svelte'
import type { Invite, InviteTime } from '../jmap/model'

export type Answer = 'accepted' | 'tentative' | 'declined'
export interface Found { email: string; invite: Invite }
export interface Moment { at: Date; day: boolean; zone: string } // zone: of the organizer, where it has a name

// offset is what a zone is ahead of UTC at a moment, in milliseconds.
function offset(zone: string, at: number): number {
  const p = Object.fromEntries(new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }).formatToParts(at).map((x) => [x.type, +x.value]))
  return Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - Math.floor(at / 1000) * 1000
}
const known = (zone: string) => { try { new Intl.DateTimeFormat('en', { timeZone: zone }); return zone } catch { return '' } }

export function moment(m: InviteTime | null): Moment | null {
  const p = m && /^(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d))?/.exec(m.local)
  if (!m || !p) return null
  const [y, mo, d, h, mi] = [1, 2, 3, 4, 5].map((i) => +(p[i] || 0))
  if (m.isAllDay) return { at: new Date(y, mo - 1, d), day: true, zone: '' }
  const zone = known(m.timeZone || '')
  if (m.utc) return { at: new Date(m.utc), day: false, zone }
  if (!zone) return { at: new Date(y, mo - 1, d, h, mi), day: false, zone }
  const wall = Date.UTC(y, mo - 1, d, h, mi), first = wall - offset(zone, wall)
  return { at: new Date(wall - offset(zone, first)), day: false, zone } // once more: the first guess may lie beyond a change of clocks
}

const newer = (a: Invite, b: Invite) => a.sequence !== b.sequence ? a.sequence > b.sequence : (a.stamp || '') > (b.stamp || '')

// find reads the invitation of a message, and what replaced it since: among the latest
// mail of its organizer.
export async function find(id: string): Promise<{ first: Found; now: Found } | null> {
  const e = pick(await client.read([['Email/get', { ...inAccount(ofAccount(id)), ids: [id], properties: ['id', 'invite'] }]]), 0).list[0]
  if (!e?.invite) return null
  const first: Found = { email: id, invite: e.invite }, from = first.invite.organizer?.email
  if (!from || !['REQUEST', 'CANCEL'].includes(first.invite.method)) return { first, now: first }
  const where = inAccount(ofAccount(id)), out = await client.read([['Email/query', { ...where, filter: { from }, sort: [{ property: 'receivedAt', isAscending: false }], limit: 50 }],
    ['Email/get', { ...where, '#ids': { resultOf: 0, name: 'Email/query', path: '/ids' }, properties: ['id', 'invite'] }]])
  let now = first
  for (const x of pick(out, 1).list as { id: string; invite: Invite | null }[]) if (x.invite && x.id !== id && x.invite.uid === first.invite.uid && ['REQUEST', 'CANCEL'].includes(x.invite.method) && newer(x.invite, now.invite)) now = { email: x.id, invite: x.invite }
  return { first, now }
}

export async function respond(f: Found, answer: Answer, comment: string) {
  const r = pick(await client.write([['Invite/reply', { ...inAccount(ofAccount(f.email)), emailId: f.email, answer, ...(comment.trim() ? { comment: comment.trim() } : {}) }]]), 0)
  if (r.answer !== answer) throw new JMAPError('serverFail')
  mail.sync()
}

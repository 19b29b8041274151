// What became of a message, told from the server's records (Trace/get).
import { client, pick } from '../jmap/client'
import { ofAccount, inAccount } from '../jmap/accounts'
import { t } from '../kit/i18n'

interface Fate { address: string; became: string; detail: string }
export interface Event { at: string; kind: string; from: string; account: string | null; remote: string | null; by: string | null; reply: string | null; recipients: Fate[]; notes: string[] }
export interface Line { text: string; words: string; level: Level } // words: those of the other server
export interface Step { at: string; text: string; words: string; notes: string; level: Level; lines: Line[] }
export type Level = 'good' | 'warning' | 'waits' | ''

export async function traceOf(id: string): Promise<{ events: Event[]; told: { at: string; text: string }[] } | null> {
  return pick(await client.read([['Trace/get', { ...inAccount(ofAccount(id)), ids: [id] }]]), 0).list[0] || null
}

const levels: Record<string, Level> = { delivered: 'good', relayed: 'good', forwarded: 'good', ruled: 'good', turned: 'warning', expired: 'warning', dropped: 'warning', deferred: 'waits', queued: 'waits' }
const fates: Record<string, string> = {
  delivered: '{who}: it was delivered.', queued: '{who}: it is on its way.', forwarded: '{who}: it goes on to another address.', turned: '{who}: {domain} did not take it.',
  deferred: '{who}: not delivered yet. It is tried again.', dropped: '{who}: it was thrown away.', relayed: '{who}: handed over to {domain}.', expired: '{who}: it was given up.', ruled: '{who}: a rule was applied.',
}
const domain = (s: string) => s.split('@')[1] || s
function fate(f: Fate): Line | null {
  if (!fates[f.became]) return null
  return { text: t(fates[f.became], { who: f.address, domain: domain(f.address) }), words: f.became === 'queued' ? '' : f.detail, level: levels[f.became] }
}

const kinds: Record<string, (e: Event, mine: boolean) => [text: string, level: Level]> = {
  received: (e, mine) => [mine ? t('You sent it, and this server took it.') : e.remote ? t('It came from {server}.', { server: e.remote }) : t('It came from {server}.', { server: e.account || e.from }), 'good'],
  refused: (e) => [t('This server refused it.'), 'warning'],
  abandoned: () => [t('The other server went away before the end.'), 'warning'],
  attempt: (e) => [t('{server} was asked to take it, and answered.', { server: e.remote || domain(e.recipients[0]?.address || '') }), e.reply?.startsWith('2') ? 'good' : e.reply?.startsWith('5') ? 'warning' : 'waits'],
  unreachable: (e) => [t('{server} could not be reached.', { server: e.remote || domain(e.recipients[0]?.address || '') }), 'waits'],
  reported: (_, mine) => [mine ? t('You were told about it.') : t('The sender was told about it.'), ''],
  operated: () => [t('An administrator changed it.'), ''],
  forgotten: () => [t('It could not be delivered, and there was nobody to tell.'), 'warning'],
  held: () => [t('It is held back until somebody looks at it.'), 'waits'],
  released: () => [t('It is no longer held back.'), ''],
  scheduled: () => [t('It waits for its time.'), 'waits'],
  filtered: () => [t('A rule was applied.'), ''],
  sent: () => [t('This server sent it by itself.'), ''],
  givenUp: () => [t('It waited for too long.'), 'warning'],
  waiting: () => [t('It waits, and is tried again.'), 'waits'],
}

// stepsOf says event by event what happened.
export function stepsOf(events: Event[], mine: boolean): Step[] {
  const again = (e: Event, i: number) => e.kind === 'attempt' && events.slice(0, i).some((o) => o.kind === 'attempt' && o.remote === e.remote && o.reply === e.reply && Math.abs(+new Date(o.at) - +new Date(e.at)) < 5000)
  return events.filter((e, i) => !again(e, i)).map((e) => {
    const [text, level] = kinds[e.kind]?.(e, mine) || [t('Something happened that this version does not know.'), '']
    const lines = e.recipients.map(fate).filter((l) => !!l)
    // The answer to one for whom it is said again is said once.
    const words = e.reply && !lines.some((l) => l.words === e.reply) ? e.reply : ''
    return { at: e.at, text, words: e.kind === 'received' && level === 'good' ? '' : words, notes: /^(received|refused|attempt|filtered)$/.test(e.kind) ? e.notes.join(' · ') : '', level, lines }
  })
}

// readBy asks who is known to have read a message that was sent.
export async function readBy(id: string): Promise<string[]> {
  const where = inAccount(ofAccount(id)), out = await client.read([['EmailSubmission/query', { ...where, filter: { emailIds: [id] } }], ['EmailSubmission/get', { ...where, '#ids': { resultOf: 0, name: 'EmailSubmission/query', path: '/ids' }, properties: ['deliveryStatus'] }]])
  return (pick(out, 1).list as { deliveryStatus: Record<string, { displayed: string }> | null }[]).flatMap((s) => Object.entries(s.deliveryStatus || {}).filter(([, d]) => d.displayed === 'yes').map(([who]) => who))
}

function lastFates(events: Event[]): string[] {
  const last = new Map<string, string>()
  for (const e of events) for (const f of e.recipients) if (fates[f.became]) last.set(f.address, f.became)
  return [...last.values()]
}

// goesOn reports whether more is to come: for somebody nothing final has happened.
export function goesOn(events: Event[]): boolean {
  const last = lastFates(events)
  return !last.length || last.some((b) => levels[b] === 'waits')
}

// outcome is what it came to, for all whom it was sent to.
export function outcome(events: Event[]): [text: string, level: Level] {
  const last = lastFates(events), all = last.map((b) => levels[b])
  if (!all.length) return [t('Nothing is known of it yet.'), '']
  if (all.every((l) => l === 'good')) return [last.includes('relayed') ? t('Yes. The other server has taken it; whether it was read, it does not say.') : t('Yes. It was delivered.'), 'good']
  if (all.includes('warning')) return [all.every((l) => l === 'warning') ? t('No. It did not arrive.') : t('Not for all. Below is for whom, and why.'), 'warning']
  return [t('Not yet. This server goes on trying.'), 'waits']
}

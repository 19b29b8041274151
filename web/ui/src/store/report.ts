// A report of delivery (RFC 3464), read from its machine-readable part.
export interface Outcome { who: string; action: string; status: string; text: string; until: string }

// readReport takes the groups of fields of a message/delivery-status part.
export function readReport(text: string): Outcome[] {
  const out: Outcome[] = []
  for (const group of text.slice(0, 200_000).replace(/\r/g, '').split(/\n\n+/).slice(0, 200)) {
    const fields: Record<string, string> = {}
    for (const line of group.replace(/\n[ \t]+/g, ' ').split('\n')) {
      const m = /^([\w-]+):\s*(.*)$/.exec(line)
      if (m) fields[m[1].toLowerCase()] ??= m[2].slice(0, 1000)
    }
    const who = (fields['original-recipient'] || fields['final-recipient'] || '').replace(/^[^;]*;\s*/, '').replace(/^<|>$/g, '')
    if (!who) continue
    out.push({ who, action: (fields.action || 'failed').toLowerCase().split(/\s/)[0], status: fields.status?.match(/\d\.\d+\.\d+/)?.[0] || '', text: (fields['diagnostic-code'] || '').replace(/^[^;]*;\s*/, ''), until: fields['will-retry-until'] || '' })
  }
  return out
}

// codes are those of RFC 3463 that have a plain meaning.
export function meaning(o: Outcome): string {
  if (o.action === 'delayed') return o.until ? '{who}: not delivered yet. It is tried until {when}.' : '{who}: not delivered yet. It is tried again.'
  if (o.action !== 'failed') return '{who}: it was delivered.'
  const [, subject, detail] = o.status.split('.').map(Number)
  if (subject === 1 && detail === 2) return '{who}: {domain} could not be reached.'
  if (subject === 1) return '{who}: there is no such address at {domain}.'
  if (subject === 2 && detail === 2) return '{who}: the mailbox is full.'
  if (subject === 2 && detail === 3 || subject === 3 && detail === 4) return '{who}: the message is too large for {domain}.'
  if (subject === 4) return '{who}: {domain} could not be reached.'
  if (subject === 7) return '{who}: {domain} refused it as unwanted.'
  return '{who}: {domain} did not take it.'
}

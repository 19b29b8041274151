// Ids of accounts of others carry the account in front of them, here in the client: "A7~M12".
// Calls that name such an account lose it on the way out, and answers get it on the way in.
export const ofAccount = (id: string | undefined): string => (id && /^A\d+~/.test(id) ? id.slice(0, id.indexOf('~')) : '')
export const bare = (id: string): string => id.replace(/^A\d+~/, '')
// inAccount are the arguments that say in which account, where it is not one's own.
export const inAccount = (account: string): { accountId?: string } => (account ? { accountId: account } : {})

// byAccount parts ids by account, one's own first.
export function byAccount(ids: string[]): [account: string, ids: string[]][] {
  const out = new Map<string, string[]>()
  for (const id of ids) { const a = ofAccount(id), l = out.get(a); if (l) l.push(id); else out.set(a, [id]) }
  return [...out].sort((x, y) => (x[0] < y[0] ? -1 : 1))
}

const carried = /^(mailboxIds\/)?A\d+~(?=[A-Z][\da-f]|U\w|default$)/
export function outgoing(v: unknown): unknown {
  if (typeof v === 'string') return v.replace(carried, '$1')
  if (Array.isArray(v)) return v.map(outgoing)
  if (!v || typeof v !== 'object') return v
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k.replace(carried, '$1'), outgoing(x)]))
}

const ids = new Set(['id', 'threadId', 'parentId', 'blobId', 'emailId', 'identityId']), lists = new Set(['ids', 'emailIds', 'created', 'updated', 'destroyed', 'removed', 'notFound', 'dsnBlobIds', 'mdnBlobIds']), maps = new Set(['mailboxIds', 'updated', 'notUpdated', 'notDestroyed']), walked = new Set(['list', 'added', 'attachments', 'created', 'snoozed'])
export function incoming(v: Record<string, any>, account: string): Record<string, any> {
  const name = (s: unknown) => (typeof s === 'string' && s ? `${account}~${s}` : s)
  const one = (x: unknown) => (x && typeof x === 'object' ? incoming(x as Record<string, any>, account) : x)
  const out: Record<string, any> = {}
  for (const [k, x] of Object.entries(v)) {
    if (ids.has(k)) out[k] = name(x)
    else if (lists.has(k) && Array.isArray(x)) out[k] = x.map(name)
    else if (maps.has(k) && x && typeof x === 'object') out[k] = Object.fromEntries(Object.entries(x).map(([id, y]) => [name(id), y]))
    else if (walked.has(k)) out[k] = Array.isArray(x) ? x.map(one) : x && typeof x === 'object' ? Object.fromEntries(Object.entries(x).map(([id, y]) => [id, one(y)])) : x
    else out[k] = x
  }
  return out
}

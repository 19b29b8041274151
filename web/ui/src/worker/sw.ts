// The service worker: the app's own files by version, messages that are kept when the
// server is away, and notifications. It never answers for JMAP.
interface Build { version: string; files: string[] }
const worker = self as unknown as {
  BUILD: Build; location: Location; registration: { showNotification(title: string, o: object): Promise<void>; getNotifications(o: object): Promise<{ close(): void }[]>; pushManager: { getSubscription(): Promise<unknown> } }
  clients: { claim(): Promise<void>; matchAll(o: object): Promise<any[]>; openWindow(url: string): Promise<unknown> }
  skipWaiting(): Promise<void>; addEventListener(name: string, f: (e: any) => void): void
}
const build = worker.BUILD
const shell = 'shell-' + build.version

worker.addEventListener('install', (e) => e.waitUntil((async () => {
  const c = await caches.open(shell)
  await c.addAll(['/shell', ...build.files])
  // A server that was changed between two of these answers gives the page of another version.
  const page = await (await c.match('/shell'))!.text()
  if ([...page.matchAll(/"(\/assets\/[^"]+)"/g)].every((m) => build.files.includes(m[1]))) return
  await caches.delete(shell)
  throw new Error('the page is of another version')
})()))

// What was in use before stays, for the windows that were opened with it and have not loaded
// all their parts; older ones go. A version that only waited was in use by nobody.
const used = '/used'
worker.addEventListener('activate', (e) => e.waitUntil((async () => {
  const others = (await caches.keys()).filter((k) => k.startsWith('shell-') && k !== shell)
  const since = await Promise.all(others.map(async (k) => +((await (await caches.match(used, { cacheName: k }))?.text()) || 0)))
  const before = others[since.indexOf(Math.max(...since))]
  for (const k of others) if (k !== before) await caches.delete(k)
  await (await caches.open(shell)).put(used, new Response(String(Date.now())))
  await worker.clients.claim()
})()))
worker.addEventListener('message', (e) => { if (e.data === 'activate') worker.skipWaiting() })

const cached = async (key: string, request: Request) => (await caches.match(key, { cacheName: shell })) || fetch(request)
// part is a file by its name, which is of its content: whichever version has it, it is this one.
const part = async (key: string, request: Request) => (await caches.match(key, { cacheName: shell })) || (await caches.match(key)) || fetch(request)

worker.addEventListener('fetch', (e) => {
  const r: Request = e.request, u = new URL(r.url)
  if (u.origin !== worker.location.origin || r.method !== 'GET') return
  if (r.mode === 'navigate' && r.destination === 'document' && /^\/($|mail\/|settings\/)/.test(u.pathname)) e.respondWith(cached('/shell', r))
  else if (u.pathname.startsWith('/assets/')) e.respondWith(part(u.pathname, r))
  else if (u.pathname.startsWith('/r/') && r.destination === 'iframe') e.respondWith(body(u, r))
  else if (u.pathname === '/editor' && r.destination === 'iframe') e.respondWith(editor(r))
})

// editor is the page of the editor without the server. As with body the policy makes its sandbox; what has no
// origin gets nothing from here, so the script stands in the page.
async function editor(r: Request): Promise<Response> {
  const name = build.files.find((f) => /\/editor-[^/]*\.js$/.test(f)), kept = name && ((await caches.match(name, { cacheName: shell })) || (await caches.match(name)))
  if (!kept) return fetch(r)
  const script = (await kept.text()).replace(/<\/(script)/gi, '<\\/$1').replace(/<!--/g, '<\\!--')
  const sum = btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(script)))))
  return new Response(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Editor</title></head><body><script>${script}</script></body></html>`, { headers: {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': `sandbox allow-scripts; default-src 'none'; script-src 'sha256-${sum}'; style-src 'unsafe-inline'; img-src 'self' data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'`,
  } })
}

// body shows a kept message. The frame has no sandbox of its own then, since browsers ask no
// worker for frames that have: the policy makes it one, here and on what the server sent.
async function body(u: URL, r: Request): Promise<Response> {
  const kept = await caches.match(u.pathname, { cacheName: 'bodies' })
  if (!kept) return fetch(r)
  const h = new Headers(kept.headers), policy = h.get('Content-Security-Policy') || ''
  if (!policy.startsWith('sandbox ')) h.set('Content-Security-Policy', "sandbox; default-src 'none'; frame-ancestors 'self'")
  return new Response(kept.body, { headers: h })
}

// A push says that something changed, and of which kind; what it was is asked of the server.
const headers = { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }
async function jmap(methodCalls: unknown[]): Promise<any[]> {
  const r = await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls }) })
  return r.ok ? (await r.json()).methodResponses : []
}
interface Words { one: string; many: string; none: string }
async function stored(): Promise<{ account: string; inbox: string; boxes?: string[]; quiet?: string; words: Words } | null> {
  const r = await caches.match('/push', { cacheName: 'push' })
  return r ? r.json() : null
}

// hush answers a push of which nothing is to be seen: browsers want a notification for each, so one comes without a sound, and goes.
async function hush(words: Words) {
  await worker.registration.showNotification(words.many, { tag: 'hush', silent: true })
  for (const n of await worker.registration.getNotifications({ tag: 'hush' })) n.close()
}
// isQuiet says whether a time is in the hours in which nothing is told; they may go over midnight.
function isQuiet(hours: string, now: Date): boolean {
  const m = hours.match(/^(\d\d):(\d\d)-(\d\d):(\d\d)$/)
  if (!m) return false
  const from = +m[1] * 60 + +m[2], to = +m[3] * 60 + +m[4], at = now.getHours() * 60 + now.getMinutes()
  return from <= to ? at >= from && at < to : at >= from || at < to
}

async function pushed(data: any) {
  if (data?.['@type'] === 'PushVerification') {
    await jmap([['PushSubscription/set', { update: { [data.pushSubscriptionId]: { verificationCode: data.verificationCode } } }, '0']])
    return
  }
  const me = await stored()
  if (!me) return
  const open = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })
  if (open.some((c) => /^\/($|mail\/)/.test(new URL(c.url).pathname) && c.visibilityState === 'visible' && c.focused)) return // it is on the screen
  if (isQuiet(me.quiet || '', new Date())) return hush(me.words)
  const out = await jmap([
    ['Email/query', { accountId: me.account, filter: { operator: 'AND', conditions: [{ operator: 'OR', conditions: (me.boxes || [me.inbox]).map((inMailbox) => ({ inMailbox })) }, { notKeyword: '$seen' }, { after: new Date(Date.now() - 36e5).toISOString().replace(/\.\d+/, '') }] }, sort: [{ property: 'receivedAt', isAscending: false }], limit: 5 }, '0'],
    ['Email/get', { accountId: me.account, '#ids': { resultOf: '0', name: 'Email/query', path: '/ids' }, properties: ['threadId', 'from', 'subject', 'preview'] }, '1'],
  ]).catch(() => [])
  const list = out.find((x) => x[0] === 'Email/get')?.[1]?.list || []
  if (!list.length && out.some((x) => x[0] === 'Email/get')) return hush(me.words) // it came to a mailbox of which nothing is told
  if (!list.length) return worker.registration.showNotification(me.words.many, { tag: 'mail', data: { url: '/' } })
  for (const m of list) {
    const from = m.from?.[0]
    await worker.registration.showNotification(from?.name || from?.email || me.words.one, { body: m.subject || me.words.none, tag: m.id, data: { url: `/mail/${me.inbox}/${m.threadId}` }, icon: '/assets/icon.svg' })
  }
}
worker.addEventListener('push', (e) => {
  let data: any = null
  try { data = e.data?.json() } catch { /* not ours */ }
  e.waitUntil(pushed(data))
})
worker.addEventListener('notificationclick', (e) => {
  e.notification.close()
  const url = e.notification.data?.url || '/'
  e.waitUntil((async () => {
    const open = await worker.clients.matchAll({ type: 'window' })
    if (!open.length) return worker.clients.openWindow(url)
    open[0].postMessage({ open: url })
    return open[0].focus()
  })())
})

// Notifications while no window is open: a PushSubscription (RFC 8620 §7.2) for this
// browser, signed with the server's key (RFC 8292).
import { client, pick } from '../jmap/client'
import { mail } from './mail.svelte'
import { settings } from './settings.svelte'
import { t } from '../kit/i18n'

export const push = $state({ able: 'PushManager' in window && 'serviceWorker' in navigator && 'Notification' in window, on: false, busy: false, error: '' })

const bytes = (s: string) => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
const text = (b: ArrayBuffer | null) => btoa(String.fromCharCode(...new Uint8Array(b || new ArrayBuffer(0)))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')

function device(): string {
  let id = localStorage.getItem('device')
  if (!id) localStorage.setItem('device', (id = crypto.randomUUID()))
  return id
}

export async function look() {
  if (!push.able) return
  const r = await navigator.serviceWorker.getRegistration().catch(() => undefined)
  const sub = r && localStorage.getItem('push') ? await r.pushManager.getSubscription().catch(() => null) : null
  push.on = !!sub
  if (sub) await renew(sub).catch(() => null) // the next time
}

// register tells the server of a browser's subscription; what it answers where it takes none.
async function register(sub: PushSubscription): Promise<{ type?: string; description?: string } | null> {
  const out = pick(await client.write([['PushSubscription/set', { accountId: undefined, create: { p: {
    deviceClientId: device(), url: sub.endpoint, keys: { p256dh: text(sub.getKey('p256dh')), auth: text(sub.getKey('auth')) }, types: ['EmailDelivery'],
  } } }]]), 0)
  if (!out.created?.p) return out.notCreated?.p || {}
  localStorage.setItem('push', out.created.p.id)
  return null
}

// renew keeps a subscription alive: the server keeps it for a time, and no longer than the login that made it.
const DAY = 86_400_000
async function renew(sub: PushSubscription) {
  const id = localStorage.getItem('push') || ''
  const got = pick(await client.read([['PushSubscription/get', { accountId: undefined, ids: [id], properties: ['expires'] }]]), 0)
  const kept = got.list?.[0]
  if (!kept) { if (got.list) await register(sub) }
  else if (kept.expires && Date.parse(kept.expires) < Date.now() + 20 * DAY)
    await client.write([['PushSubscription/set', { accountId: undefined, update: { [id]: { expires: new Date(Date.now() + 365 * DAY).toISOString().slice(0, 19) + 'Z' } } }]])
}

// remember tells the worker what it must know when no window is there to ask.
export async function remember() {
  if (!push.on) return
  const inbox = mail.box('inbox')?.id || '', words = { one: t('New message'), many: t('You have new mail.'), none: t('(no subject)') }
  await (await caches.open('push')).put('/push', new Response(JSON.stringify({ account: client.account, inbox, boxes: settings.notify.length ? settings.notify : [inbox], quiet: settings.quiet, words })))
}

export async function subscribe() {
  push.busy = true; push.error = ''
  try {
    if (await Notification.requestPermission() !== 'granted') throw new Error(t('The browser does not allow notifications for this site.'))
    const s = await client.sessionObject(), key = s.capabilities?.['urn:ietf:params:jmap:webpush-vapid']?.applicationServerKey
    if (!key) throw new Error(t('This server sends no notifications.'))
    const r = await navigator.serviceWorker.ready
    push.on = true
    await remember()
    push.on = false
    const sub = await r.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) })
    const no = await register(sub)
    if (no) { await sub.unsubscribe(); throw new Error(no.description || no.type || '') }
    push.on = true
  } catch (e) {
    push.error = e instanceof Error && e.message ? e.message : t('Notifications could not be switched on.')
  }
  push.busy = false
}

export async function unsubscribe() {
  const id = localStorage.getItem('push')
  push.on = false
  localStorage.removeItem('push')
  if (id) await client.write([['PushSubscription/set', { accountId: undefined, destroy: [id] }]]).catch(() => null)
  const r = await navigator.serviceWorker?.getRegistration()
  await (await r?.pushManager.getSubscription())?.unsubscribe()
  if ('caches' in window) await caches.delete('push')
}

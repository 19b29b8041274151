// The service worker of this device: the app starts without the server, a new version is
// announced and never forced, notifications come while no window is open.
import { client, boot } from '../jmap/client'
import { mail } from './mail.svelte'
import { unsaved } from './drafts'
import { Query } from './query.svelte'
import { ui } from './ui.svelte'
import { toast, drop, type Toast } from './toasts.svelte'
import { keepBody, wipe } from './cache'
import { unsubscribe, look, remember } from './push.svelte'
import { t } from '../kit/i18n'

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('session') : null
if (channel) channel.onmessage = (e) => { if (e.data === 'out') location.href = '/' }

// A click on a notification may come while the app still starts.
navigator.serviceWorker?.addEventListener('message', (e) => { if (typeof e.data?.open === 'string') { asked = e.data.open; openAsked() } })
let asked = ''
export function openAsked() {
  if (!asked || !mail.ready) return
  history.pushState(null, '', asked)
  asked = ''
  dispatchEvent(new PopStateEvent('popstate'))
}

// policy lets one script be a worker.
const policy = (window as any).trustedTypes?.createPolicy('worker', { createScriptURL: (s: string) => { if (s !== '/sw.js') throw new TypeError(s); return s } })

let began = Date.now()
export async function installWorker() {
  if (!navigator.serviceWorker) return
  began = Date.now()
  let mine = false, told: Toast | undefined
  try {
    const had = !!navigator.serviceWorker.controller
    const r = await navigator.serviceWorker.register(policy ? policy.createScriptURL('/sw.js') : '/sw.js', { updateViaCache: 'none' })
    // Where another window has taken the new version already, there is nothing left to wait for.
    // A worker that does not take over in time is asked again by the page that comes then.
    const go = () => {
      mine = true
      if (!r.waiting) { location.reload(); return }
      r.waiting.postMessage('activate')
      setTimeout(() => location.reload(), 5000)
    }
    const tell = () => { if (told) drop(told.id); told = toast(t('A new version is ready.'), { text: t('Reload'), run: go }, false, 3600) }
    let controlled = had
    navigator.serviceWorker.addEventListener('controllerchange', () => { if (mine) location.reload(); else if (controlled) tell(); controlled = true })
    // A part that is nowhere any more: this window is older than what is kept.
    addEventListener('unhandledrejection', (e) => { if (/dynamically imported module|module script/i.test(String(e.reason))) tell() })
    const fresh = () => {
      if (!r.waiting || !r.active) return
      // Nobody has begun with anything yet: the new version simply shows.
      if (had && Date.now() - began < 5000 && !ui.composers.length && !ui.thread && !mail.waiting) go()
      else tell()
    }
    fresh()
    r.addEventListener('updatefound', () => { const w = r.installing; w?.addEventListener('statechange', () => { if (w.state === 'installed') fresh() }) })
    setInterval(() => r.update().catch(() => null), 36e5)
    setTimeout(() => { void look().then(remember); void fill() }, 10_000) // what was chosen on another device counts here, too
  } catch { /* private windows have none */ }
}

// fill keeps the newest messages for when the server is away, one at a time.
async function fill() {
  await fillFrom(mail.query)
  for (const s of mail.shared) { // what others share as one's own
    const inbox = mail.box('inbox', s.id), q = inbox && new Query(mail, { inMailbox: inbox.id }, s.id)
    if (!q || !mail.online || !(await q.fetch(0))) continue
    mail.keepAside(q)
    await fillFrom(q)
  }
}
async function fillFrom(q: Query) {
  for (let i = 0; i < Math.min(50, q.length); i++) {
    if (!mail.online) return
    const e = mail.email(q.id(i))
    if (!e) continue
    if (!mail.threads.has(e.threadId) || mail.thread(e.threadId).some((x) => !mail.details.has(x.id))) await mail.loadThread(e.threadId).catch(() => null)
    const last = mail.thread(e.threadId).at(-1)
    if (last) await keepBody(client.bodyURL(last.id))
    await new Promise((r) => (window.requestIdleCallback ?? setTimeout)(r))
  }
}

// signedIn notes who uses this device; what another one left goes.
export async function signedIn() {
  const s = { account: client.account, user: client.user, name: boot.name || '' }
  try {
    const old = JSON.parse(localStorage.getItem('session') || 'null')
    if (old && old.account !== s.account) await wipe(false)
    localStorage.setItem('session', JSON.stringify(s))
  } catch { /* nothing is kept */ }
}

export async function signOut(sure = false) {
  const left = sure ? 0 : (await unsaved()) + mail.waiting
  if (left) { toast(t('{n, plural, one {# change or draft} other {# changes and drafts}} did not reach the server yet and would be lost.', { n: left }), { text: t('Sign out all the same'), run: () => signOut(true) }, true, 30); return }
  await unsubscribe().catch(() => null)
  await client.logout()
  await wipe()
  channel?.postMessage('out')
  location.href = '/'
}

// Keeps the settings at the server, so that they are the same on every device. The
// browser's copy is what the client works with; keys that the server has not taken yet
// are noted beside it, and win over what comes from there.
import { client, pick, Offline } from '../jmap/client'
import { settings, defaults, take, hooks } from './settings.svelte'

const noted = 'settings-unsent'
const unsent = (): Set<string> => { try { return new Set(JSON.parse(localStorage.getItem(noted) || '[]')) } catch { return new Set() } }
const note = (keys: Set<string>) => { try { localStorage.setItem(noted, JSON.stringify([...keys])) } catch { /* full */ } }
let timer = 0

hooks.saved = (keys) => {
  const all = unsent()
  for (const k of keys) all.add(k)
  note(all)
  clearTimeout(timer)
  timer = window.setTimeout(send, 500)
}

async function send() {
  const keys = unsent(), all = settings as unknown as Record<string, unknown>
  if (!keys.size || !client.account) return
  const before = JSON.stringify([...keys].map((k) => all[k]))
  try {
    const r = pick(await client.write([['Settings/set', { update: { singleton: Object.fromEntries([...keys].map((k) => [`values/${k}`, all[k]])) } }]]), 0)
    if (r.notUpdated?.singleton) return // what it does not take stays in this browser
    if (JSON.stringify([...keys].map((k) => all[k])) !== before) return // changed meanwhile: that is sent next
    const left = unsent()
    for (const k of keys) left.delete(k)
    note(left)
  } catch (e) { if (e instanceof Offline) timer = window.setTimeout(send, 10_000) }
}

// syncSettings takes those of the server, and gives it those that it lacks. What somebody
// else left in this browser is not ours.
export async function syncSettings() {
  const whose = localStorage.getItem('settings-of')
  if (whose && whose !== client.user) { note(new Set()); take(structuredClone(defaults) as unknown as Record<string, unknown>) }
  localStorage.setItem('settings-of', client.user)
  try {
    const values: Record<string, unknown> = pick(await client.read([['Settings/get', { ids: ['singleton'] }]]), 0).list[0]?.values || {}
    const language = settings.language, mine = unsent(), own = settings as unknown as Record<string, unknown>, usual = defaults as unknown as Record<string, unknown>
    take(Object.fromEntries(Object.entries(values).filter(([k]) => !mine.has(k))))
    const lacks = Object.keys(usual).filter((k) => mine.has(k) || !(k in values) && JSON.stringify(own[k]) !== JSON.stringify(usual[k]))
    if (lacks.length) hooks.saved(lacks)
    if (settings.language !== language) location.reload()
  } catch { /* those of the browser do */ }
}

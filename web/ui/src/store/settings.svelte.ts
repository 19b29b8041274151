// Settings of this person: a copy of what the server keeps (settings-sync.ts).
export interface Settings {
  theme: 'system' | 'light' | 'dark'; density: 'compact' | 'cosy' | 'comfy'; pane: 'right' | 'below' | 'off'; language: string; keys: boolean
  images: string[] // senders whose images are shown
  original: string[] // senders whose mail is not made dark
  undoSeconds: number; receipts: boolean; notify: string[]; // mailboxes of which new mail is told; none: the inbox
  quiet: string // hours in which nothing is told, as 22:00-07:00; '': none
  swipeStart: string; swipeEnd: string; plain: boolean; signature: string
  templates: { name: string; subject: string; html: string; text: string }[]
  views: Record<string, { name: string; search: string; filter: unknown; sort: unknown }> // searches that are kept, by id; null in a patch takes one away
  guide: string[] // what of the demo's six things was done
  sieve: string // rules, and what else stands in the script
}
export const defaults: Settings = { theme: 'system', density: 'cosy', pane: 'right', language: '', keys: true, images: [], original: [], undoSeconds: 10, receipts: false, notify: [], quiet: '', swipeStart: 'archive', swipeEnd: 'trash', plain: false, signature: '', templates: [], views: {}, guide: [], sieve: '' }

function load(): Settings {
  try { return { ...defaults, ...JSON.parse(localStorage.getItem('settings') || '{}') } } catch { return { ...defaults } }
}
export const settings: Settings = $state(load())
export function save(patch: Partial<Settings>) {
  Object.assign(settings, patch)
  write()
  hooks.saved(Object.keys(patch))
}
// hooks.saved is told which settings were changed here.
export const hooks = { saved: (_: string[]) => {} }
// take puts in what came from the server, as far as it is of the right kind.
export function take(values: Record<string, unknown>) {
  const own = settings as unknown as Record<string, unknown>, usual = defaults as unknown as Record<string, unknown>
  for (const k in values) if (k in usual && typeof values[k] === typeof usual[k] && Array.isArray(values[k]) === Array.isArray(usual[k])) own[k] = values[k]
  write()
}
function write() {
  try { localStorage.setItem('settings', JSON.stringify(settings)) } catch { /* full */ }
  applyTheme()
}
const system = matchMedia('(prefers-color-scheme: dark)')
export const look = $state({ dark: false, phone: false })
export function applyTheme() {
  look.dark = settings.theme === 'dark' || settings.theme === 'system' && system.matches
  document.documentElement.dataset.theme = look.dark ? 'dark' : 'light'
  document.documentElement.dataset.density = settings.density
  document.documentElement.dataset.pane = settings.pane
}
system.addEventListener('change', applyTheme)
const narrow = matchMedia('(max-width: 799px)')
const resized = () => { look.phone = narrow.matches }
narrow.addEventListener('change', resized)
resized()

// Settings of this person. They live in the browser until the server keeps them.
export interface Settings {
  theme: 'system' | 'light' | 'dark'; density: 'compact' | 'cosy' | 'comfy'; language: string; keys: boolean
  images: string[] // senders whose images are shown
  original: string[] // senders whose mail is not made dark
  undoSeconds: number; swipeStart: string; swipeEnd: string; plain: boolean; signature: string
  templates: { name: string; subject: string; html: string; text: string }[]
}
const defaults: Settings = { theme: 'system', density: 'cosy', language: '', keys: true, images: [], original: [], undoSeconds: 10, swipeStart: 'archive', swipeEnd: 'trash', plain: false, signature: '', templates: [] }

function load(): Settings {
  try { return { ...defaults, ...JSON.parse(localStorage.getItem('settings') || '{}') } } catch { return { ...defaults } }
}
export const settings: Settings = $state(load())
export function save(patch: Partial<Settings>) {
  Object.assign(settings, patch)
  localStorage.setItem('settings', JSON.stringify(settings))
  applyTheme()
}
const system = matchMedia('(prefers-color-scheme: dark)')
export const look = $state({ dark: false, phone: false })
export function applyTheme() {
  look.dark = settings.theme === 'dark' || settings.theme === 'system' && system.matches
  document.documentElement.dataset.theme = look.dark ? 'dark' : 'light'
  document.documentElement.dataset.density = settings.density
}
system.addEventListener('change', applyTheme)
const narrow = matchMedia('(max-width: 799px)')
const resized = () => { look.phone = narrow.matches }
narrow.addEventListener('change', resized)
resized()

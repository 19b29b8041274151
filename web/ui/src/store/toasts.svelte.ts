// Short messages, and what a screen reader is told.
export interface Toast { id: number; text: string; bad: boolean; actions: { text: string; run: () => void }[]; until: number; seconds: number }
export const toasts = $state<{ list: Toast[]; live: string }>({ list: [], live: '' })
let n = 0

export function announce(text: string) { toasts.live = toasts.live === text ? text + '\u00a0' : text }

export function toast(text: string, action?: { text: string; run: () => void } | { text: string; run: () => void }[], bad = false, seconds = bad ? 12 : 6): Toast {
  const one: Toast = { id: ++n, text, bad, actions: !action ? [] : Array.isArray(action) ? action : [action], until: Date.now() + seconds * 1000, seconds }
  toasts.list = [...toasts.list.filter((x) => x.bad || x.seconds > 6).slice(-2), one]
  announce(text)
  setTimeout(() => drop(one.id), seconds * 1000)
  return one
}
export function drop(id: number) { toasts.list = toasts.list.filter((x) => x.id !== id) }

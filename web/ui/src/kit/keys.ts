// Keys to actions. A key in a field belongs to the field, but for those with Ctrl.
import { actions, type Action } from '../actions/registry'
import { settings } from '../store/settings.svelte'
import { ui } from '../store/ui.svelte'

export interface Press { key: string; ctrl: boolean; meta: boolean; shift: boolean; alt: boolean }
let prefix = '', timer = 0

function spell(p: Press): string {
  let k = p.key.length === 1 && (p.ctrl || p.meta || p.shift && /[a-z]/i.test(p.key)) ? p.key.toUpperCase() : p.key
  if (p.shift && (k.length > 1 || /[A-Z]/.test(k))) k = 'Shift+' + k
  if (p.ctrl || p.meta) k = 'Ctrl+' + k
  return p.alt ? 'Alt+' + k : k
}

export function find(p: Press, typing: boolean): Action | 'prefix' | undefined {
  const k = spell(p), single = !k.startsWith('Ctrl+') && !k.startsWith('Alt+')
  if (typing && single && !/^(Shift\+)?F\d+$/.test(k) || single && !settings.keys && k.length === 1) return
  const full = prefix ? prefix + ' ' + k : k
  prefix = ''
  const hit = actions.find((x) => x.keys?.includes(full) && (!x.when || x.when()))
  if (!hit && single && actions.some((x) => x.keys?.some((y) => y.startsWith(k + ' ')))) {
    prefix = k
    clearTimeout(timer)
    timer = window.setTimeout(() => (prefix = ''), 1500)
    return 'prefix'
  }
  return hit
}

export function press(p: Press, typing = false): boolean {
  if (ui.overlay || !ui.signedIn) return false
  // Who writes already while the composer is on its way does not act on the list.
  if (!p.ctrl && !p.meta && ui.composers.length && !document.querySelector('.cmp')) return true
  const hit = find(p, typing)
  if (!hit) return false
  if (hit !== 'prefix') hit.run()
  return true
}

export function onKeydown(e: KeyboardEvent) {
  if (e.isComposing || e.defaultPrevented) return
  const el = e.target as HTMLElement
  const typing = !!el.closest?.('input,textarea,select,[contenteditable]')
  const inside = !!el.closest?.('.cmp,[role=dialog],[role=alertdialog],[role=menu]')
  if (e.key === 'Escape' && ui.overlay) { ui.overlay = ''; e.preventDefault(); return }
  if (inside && !e.ctrlKey && !e.metaKey) return
  if ((e.key === 'Enter' || e.key === ' ') && el.closest?.('button,a,summary')) return
  if (typing && e.ctrlKey && ['a', 'z', 'p'].includes(e.key.toLowerCase())) return
  if (press({ key: e.key, ctrl: e.ctrlKey, meta: e.metaKey, shift: e.shiftKey, alt: e.altKey }, typing)) e.preventDefault()
}

// shown is how a key looks on a key cap.
export const shown = (k: string) => k.replace('ArrowDown', '↓').replace('ArrowUp', '↑').replace('Escape', 'Esc').replace('Enter', '↵').replaceAll('+', ' ')

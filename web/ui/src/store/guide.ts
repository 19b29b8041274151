// The six things that a demo asks one to try, and what of them was done. The message that
// asks has a keyword that only the server sets; where there is none, nothing is noted.
import { mail } from './mail.svelte'
import { settings, save } from './settings.svelte'

export const things: { id: string; name: string; action: string }[] = [
  { id: 'archive', name: 'Archive a conversation', action: 'archive' },
  { id: 'undo', name: 'Take it back', action: 'undo' },
  { id: 'search', name: 'Search for something', action: 'search' },
  { id: 'palette', name: 'Open the command palette', action: 'palette' },
  { id: 'reply', name: 'Answer somebody', action: 'reply' },
  { id: 'mute', name: 'Mute a conversation', action: 'mute' },
]
export const isGuide = (e: { keywords: Record<string, boolean> }) => !!e.keywords.$guide

export function did(id: string) {
  if (settings.guide.includes(id)) return
  for (const e of mail.emails.values()) if (isGuide(e)) return save({ guide: [...settings.guide, id] })
}

// Answers that one writes often: kept in the settings.
import { settings, save } from './settings.svelte'
import { toast } from './toasts.svelte'
import { t } from '../kit/i18n'

export interface Template { name: string; subject: string; html: string; text: string }

export function keepTemplate(one: Template) {
  const before = settings.templates
  save({ templates: [...before.filter((x) => x.name !== one.name), one].slice(-100) })
  toast(t('Template “{name}” saved', { name: one.name }), { text: t('Undo'), run: () => save({ templates: before }) })
}
export function removeTemplate(name: string) {
  const before = settings.templates
  save({ templates: before.filter((x) => x.name !== name) })
  toast(t('Template “{name}” removed', { name }), { text: t('Undo'), run: () => save({ templates: before }) })
}

// filled puts names into {name} and {me}.
export const filled = (s: string, o: Record<string, string>) => s.replace(/\{(name|me|date)\}/g, (m, k) => o[k] ?? m)

// The words for the reasons of a verdict (docs/jmap.md).
import { t } from './i18n'

export interface Reason { code: string; level?: string; shown?: string | null; real?: string | null }

const words: Record<string, string> = {
  name: 'The name says {shown}, but the address is at {real}.', lookalike: '{real} looks like {shown} but is not.', link: 'A link shows {shown} but opens {real}.', address: 'A link opens a bare address, {real}.',
  'reply-to': 'Answers would go to {real}.', form: 'It asked you to type something in; the fields are off.', money: 'Somebody whom you do not know asks about money or passwords.',
  unverified: 'It should carry a proof of its sender, and the proof failed.', undetermined: 'Whether it is genuine could not be found out.', verified: '{real} stands behind it.', contact: 'You know this sender.',
  first: 'This is the first message from this address.', list: 'It came over the list {real}.', encrypted: 'It came to this server encrypted.', cleartext: 'It came to this server without encryption.',
}
export const reason = (r: Reason): string => (words[r.code] ? t(words[r.code], { shown: r.shown || '', real: r.real || '' }) : '')

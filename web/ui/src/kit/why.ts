// why says in words what the server said by a code.
import { JMAPError } from '../jmap/client'
import { t } from './i18n'

const words: Record<string, string> = {
  overQuota: 'there is no more room for your mail',
  serverUnavailable: 'the server has a problem just now, perhaps no room; it is tried again', serverFail: 'the server has a problem just now, perhaps no room; it is tried again',
  tooLarge: 'it is too large', requestTooLarge: 'it is too large', 'http-413': 'it is too large',
  forbiddenFrom: 'you may not send from this address', forbiddenMailFrom: 'you may not send from this address',
  forbidden: 'you may not do this', accountReadOnly: 'you may not do this',
}

export function why(e: unknown): string {
  if (!(e instanceof JMAPError)) return e instanceof Error ? e.message : ''
  if (e.type === 'invalidRecipients') return t('nobody here has this address: {what}', { what: e.message.replace(/^no such mailbox here: /, '') })
  if (/^http-5/.test(e.type)) return t(words.serverFail)
  return words[e.type] ? t(words[e.type]) : e.message
}

// The server's types, as much of them as the client asks for. They are made from model.ts,
// which is made from the server's own tables.
import type { Email as AnyEmail, EmailAddress, EmailBodyPart, Mailbox, Identity } from './model'

export type Address = EmailAddress
export type { Mailbox, Identity }

const list = ['id', 'threadId', 'mailboxIds', 'keywords', 'from', 'to', 'subject', 'preview', 'receivedAt', 'surfacedAt', 'hasAttachment', 'signs', 'size', 'blobId'] as const satisfies (keyof AnyEmail)[]
const detail = ['cc', 'bcc', 'replyTo', 'sentAt', 'messageId', 'inReplyTo', 'references'] as const satisfies (keyof AnyEmail)[]
const headers = ['header:List-Unsubscribe:asURLs', 'header:List-Unsubscribe-Post:asText', 'header:List-Id:asText', 'header:Disposition-Notification-To:asAddresses'] as const
export const listProperties: string[] = [...list]
export const detailProperties: string[] = [...list, ...detail, 'attachments', ...headers]

// A file of a message: what the server says of a part that has a blob.
type Known = 'size' | 'type' | 'name' | 'partId' | 'disposition' | 'cid'
export type Part = Required<Pick<EmailBodyPart, Known>> & { blobId: string }
// Email is a row of the list, Detail what the reader shows.
export type Email = Pick<AnyEmail, (typeof list)[number]>
export type Detail = Email & Pick<AnyEmail, (typeof detail)[number]> & { attachments: Part[] } & {
  'header:List-Unsubscribe:asURLs'?: string[] | null
  'header:List-Unsubscribe-Post:asText'?: string | null
  'header:List-Id:asText'?: string | null
  'header:Disposition-Notification-To:asAddresses'?: Address[] | null
}

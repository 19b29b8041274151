export interface Address { name: string | null; email: string }
export interface Mailbox {
  id: string; name: string; parentId: string | null; role: string | null; sortOrder: number
  totalEmails: number; unreadEmails: number; totalThreads: number; unreadThreads: number; isSubscribed: boolean
}
export interface Email {
  id: string; threadId: string; mailboxIds: Record<string, true>; keywords: Record<string, true>
  from: Address[] | null; to: Address[] | null; subject: string | null; preview: string
  receivedAt: string; hasAttachment: boolean; size: number; blobId: string
}
export interface Part { partId: string | null; blobId: string; size: number; name: string | null; type: string; disposition: string | null; cid: string | null }
export interface Detail extends Email {
  cc: Address[] | null; bcc: Address[] | null; replyTo: Address[] | null; sentAt: string | null
  messageId: string[] | null; inReplyTo: string[] | null; references: string[] | null; attachments: Part[]
  'header:List-Unsubscribe:asURLs'?: string[] | null
  'header:List-Unsubscribe-Post:asText'?: string | null
  'header:List-Id:asText'?: string | null
}
export const listProperties = ['id', 'threadId', 'mailboxIds', 'keywords', 'from', 'to', 'subject', 'preview', 'receivedAt', 'hasAttachment', 'size', 'blobId']
export const detailProperties = [...listProperties, 'cc', 'bcc', 'replyTo', 'sentAt', 'messageId', 'inReplyTo', 'references', 'attachments',
  'header:List-Unsubscribe:asURLs', 'header:List-Unsubscribe-Post:asText', 'header:List-Id:asText']
export interface Identity { id: string; name: string; email: string; textSignature: string; htmlSignature: string }

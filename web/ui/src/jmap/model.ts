// Made from the server's tables: go test ./test/docs -update writes it anew.

export type Id = string
export type UTCDate = string

export interface BlobUpload {
  data: DataSource[]
  type?: string | null
}

export interface Comparator {
  property: string
  isAscending?: boolean
  collation?: string
  keyword?: string
}

export interface DataSource {
  'data:asText'?: string | null
  'data:asBase64'?: string | null
  blobId?: Id
  offset?: number | null
  length?: number | null
}

export interface DeliveryStatus {
  smtpReply: string
  delivered: string
  displayed: string
}

export interface Disposition {
  actionMode: string
  sendingMode: string
  type: string
}

export interface EmailAddress {
  name?: string | null
  email: string
}

export interface EmailAddressGroup {
  name?: string | null
  addresses: EmailAddress[]
}

export interface EmailBodyPart {
  partId?: string | null
  blobId?: Id | null
  size?: number
  name?: string | null
  type?: string
  charset?: string | null
  disposition?: string | null
  cid?: string | null
  language?: string[] | null
  location?: string | null
  subParts?: EmailBodyPart[] | null
  [header: `header:${string}`]: unknown
}

export interface EmailBodyValue {
  value: string
  isEncodingProblem?: boolean
  isTruncated?: boolean
}

export interface EmailCopy {
  id: Id
  mailboxIds: Record<Id, boolean>
  keywords?: Record<string, boolean>
  receivedAt?: UTCDate
}

export interface EmailHeader {
  name: string
  value: string
}

export interface EmailImport {
  blobId: Id
  mailboxIds: Record<Id, boolean>
  keywords?: Record<string, boolean>
  receivedAt?: UTCDate
}

export interface Envelope {
  mailFrom: EnvelopeAddress
  rcptTo: EnvelopeAddress[]
}

export interface EnvelopeAddress {
  email: string
  parameters?: Record<string, string | null> | null
}

export interface Finding {
  check: string
  result: string
  text: string
}

export interface Invite {
  method: string
  uid: string
  sequence: number
  recurrenceId: string | null
  recurrence: string | null
  summary: string
  description: string
  location: string
  status: string | null
  url: string | null
  stamp: UTCDate | null
  start: InviteTime | null
  end: InviteTime | null
  organizer: InvitePerson | null
  attendees: InvitePerson[]
  me: string | null
  answer: string | null
}

export interface InvitePerson {
  name: string | null
  email: string | null
  status: string
  role: string
  rsvp: boolean
}

export interface InviteTime {
  local: string
  timeZone: string | null
  isAllDay: boolean
  utc: UTCDate | null
}

export interface MDN {
  forEmailId?: Id | null
  subject?: string | null
  textBody?: string | null
  includeOriginalMessage?: boolean
  reportingUA?: string | null
  disposition: Disposition
  mdnGateway?: string | null
  originalRecipient?: string | null
  finalRecipient?: string | null
  originalMessageId?: string | null
  error?: string[] | null
  extensionFields?: Record<string, string> | null
}

export interface MailboxRights {
  mayReadItems: boolean
  mayAddItems: boolean
  mayRemoveItems: boolean
  maySetSeen: boolean
  maySetKeywords: boolean
  mayCreateChild: boolean
  mayRename: boolean
  mayDelete: boolean
  maySubmit: boolean
  mayAdmin: boolean
}

export interface PushKeys {
  p256dh: string
  auth: string
}

export interface Reason {
  code: string
  level: string
  shown: string | null
  real: string | null
}

export interface Snoozed {
  until: UTCDate
}

export interface Verdict {
  status: string
  domain: string | null
  reasons: Reason[]
  findings: Finding[]
}

export interface ContactCard {
  id: Id
  uid: string
  kind: string
  members: Record<string, boolean> | null
  keywords: Record<string, boolean> | null
  created: unknown | null
  updated: unknown | null
  language: unknown | null
  prodId: unknown | null
  name: unknown | null
  nicknames: unknown | null
  organizations: unknown | null
  titles: unknown | null
  speakToAs: unknown | null
  emails: unknown | null
  onlineServices: unknown | null
  phones: unknown | null
  preferredLanguages: unknown | null
  calendars: unknown | null
  schedulingAddresses: unknown | null
  addresses: unknown | null
  cryptoKeys: unknown | null
  directories: unknown | null
  links: unknown | null
  media: unknown | null
  localizations: unknown | null
  anniversaries: unknown | null
  personalInfo: unknown | null
  relatedTo: unknown | null
  notes: unknown | null
}

export interface Email {
  id: Id
  blobId: Id
  threadId: Id
  mailboxIds: Record<Id, boolean>
  keywords: Record<string, boolean>
  size: number
  receivedAt: UTCDate
  messageId: string[] | null
  inReplyTo: string[] | null
  references: string[] | null
  sender: EmailAddress[] | null
  from: EmailAddress[] | null
  to: EmailAddress[] | null
  cc: EmailAddress[] | null
  bcc: EmailAddress[] | null
  replyTo: EmailAddress[] | null
  subject: string | null
  sentAt: string | null
  hasAttachment: boolean
  preview: string
  bodyValues: Record<string, EmailBodyValue>
  textBody: EmailBodyPart[]
  htmlBody: EmailBodyPart[]
  attachments: EmailBodyPart[]
  bodyStructure?: EmailBodyPart
  headers?: EmailHeader[]
  verdict?: Verdict
  snoozed?: Snoozed | null
  surfacedAt?: UTCDate
  invite?: Invite | null
  signs?: string[]
  [header: `header:${string}`]: unknown
}

export interface EmailSubmission {
  id: Id
  identityId: Id
  emailId: Id
  threadId: Id
  envelope: Envelope | null
  sendAt: UTCDate
  undoStatus: string
  deliveryStatus: Record<string, DeliveryStatus> | null
  dsnBlobIds: Id[]
  mdnBlobIds: Id[]
  sentBy: string | null
  onSend?: unknown | null
}

export interface Identity {
  id: Id
  name: string
  email: string
  replyTo: EmailAddress[] | null
  bcc: EmailAddress[] | null
  textSignature: string
  htmlSignature: string
  shareWith?: Record<Id, Record<string, boolean>> | null
  mayDelete: boolean
}

export interface Job {
  id: Id
  status: string
  total: number
  done: number
  failed: number
  createdAt: UTCDate
}

export interface LoginSession {
  id: Id
  createdAt: UTCDate
  usedAt: UTCDate
  address: string
  userAgent: string
  isThis: boolean
}

export interface Mailbox {
  id: Id
  name: string
  parentId: Id | null
  role: string | null
  sortOrder: number
  totalEmails: number
  unreadEmails: number
  totalThreads: number
  unreadThreads: number
  myRights: MailboxRights
  shareWith?: Record<Id, Record<string, boolean>> | null
  isSubscribed: boolean
}

export interface MutedThread {
  id: Id
  threadId: Id
  mutedAt: UTCDate
}

export interface Principal {
  id: Id
  type: string
  name: string
  description: string | null
  email: string | null
  timeZone: string | null
  accounts: Record<Id, unknown> | null
}

export interface PushSubscription {
  id: Id
  deviceClientId: string
  verificationCode: string | null
  expires: UTCDate | null
  types: string[] | null
}

export interface Quota {
  id: Id
  resourceType: string
  used: number
  hardLimit: number
  scope: string
  name: string
  types: string[]
  warnLimit: number | null
  softLimit: number | null
  description: string | null
}

export interface Settings {
  id: Id
  values: Record<string, unknown>
}

export interface Thread {
  id: Id
  emailIds: Id[]
}

export interface VacationResponse {
  id: Id
  isEnabled: boolean
  fromDate: UTCDate | null
  toDate: UTCDate | null
  subject: string | null
  textBody: string | null
  htmlBody: string | null
}

export interface Arguments {
  'Blob/copy': { accountId: Id; fromAccountId: Id; blobIds: Id[]; }
  'Blob/get': { accountId: Id; ids: Id[]; properties?: string[] | null; offset?: number | null; length?: number | null; }
  'Blob/lookup': { accountId: Id; typeNames: string[]; ids: Id[]; }
  'Blob/upload': { accountId: Id; create: Record<Id, BlobUpload>; }
  'ContactCard/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'ContactCard/export': { accountId: Id; ids?: Id[] | null; version?: string | null; }
  'ContactCard/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'ContactCard/import': { accountId: Id; blobId?: Id | null; vcard?: string | null; }
  'ContactCard/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; }
  'ContactCard/queryChanges': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; sinceQueryState: string; maxChanges?: number | null; upToId?: Id | null; calculateTotal?: boolean | null; }
  'ContactCard/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Core/echo': { }
  'Email/bulk': { accountId: Id; filter?: unknown | null; collapseThreads?: boolean | null; patch?: unknown | null; destroy?: boolean | null; }
  'Email/bulkUndo': { accountId: Id; jobId: Id; }
  'Email/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Email/copy': { accountId: Id; fromAccountId: Id; ifFromInState?: string | null; ifInState?: string | null; create: Record<Id, EmailCopy>; onSuccessDestroyOriginal?: boolean | null; destroyFromIfInState?: string | null; }
  'Email/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; bodyProperties?: string[] | null; fetchTextBodyValues?: boolean | null; fetchHTMLBodyValues?: boolean | null; fetchAllBodyValues?: boolean | null; maxBodyValueBytes?: number | null; }
  'Email/import': { accountId: Id; ifInState?: string | null; emails: Record<Id, EmailImport>; }
  'Email/parse': { accountId: Id; blobIds: Id[]; properties?: string[] | null; bodyProperties?: string[] | null; fetchTextBodyValues?: boolean | null; fetchHTMLBodyValues?: boolean | null; fetchAllBodyValues?: boolean | null; maxBodyValueBytes?: number | null; }
  'Email/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; collapseThreads?: boolean | null; }
  'Email/queryChanges': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; sinceQueryState: string; maxChanges?: number | null; upToId?: Id | null; calculateTotal?: boolean | null; collapseThreads?: boolean | null; }
  'Email/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Email/unsubscribe': { accountId: Id; emailId: Id; }
  'EmailSubmission/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'EmailSubmission/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'EmailSubmission/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; }
  'EmailSubmission/queryChanges': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; sinceQueryState: string; maxChanges?: number | null; upToId?: Id | null; calculateTotal?: boolean | null; }
  'EmailSubmission/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; onSuccessUpdateEmail?: Record<Id, unknown> | null; onSuccessDestroyEmail?: Id[] | null; }
  'Identity/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Identity/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Identity/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Invite/reply': { accountId: Id; emailId: Id; answer: string; comment?: string | null; }
  'Job/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Job/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'LoginSession/get': { ids?: Id[] | null; properties?: string[] | null; }
  'LoginSession/set': { ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'MDN/parse': { accountId: Id; blobIds: Id[]; }
  'MDN/send': { accountId: Id; identityId: Id; send: Record<Id, MDN>; onSuccessUpdateEmail?: Record<Id, unknown> | null; }
  'Mailbox/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Mailbox/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Mailbox/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; sortAsTree?: boolean | null; filterAsTree?: boolean | null; }
  'Mailbox/queryChanges': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; sinceQueryState: string; maxChanges?: number | null; upToId?: Id | null; calculateTotal?: boolean | null; sortAsTree?: boolean | null; filterAsTree?: boolean | null; }
  'Mailbox/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; onDestroyRemoveEmails?: boolean | null; }
  'MutedThread/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'MutedThread/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'MutedThread/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Principal/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Principal/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; }
  'PushSubscription/get': { ids?: Id[] | null; properties?: string[] | null; }
  'PushSubscription/set': { create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Quota/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Quota/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Quota/query': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; position?: number | null; anchor?: Id | null; anchorOffset?: number | null; limit?: number | null; calculateTotal?: boolean | null; }
  'Quota/queryChanges': { accountId: Id; filter?: unknown | null; sort?: Comparator[] | null; sinceQueryState: string; maxChanges?: number | null; upToId?: Id | null; calculateTotal?: boolean | null; }
  'Recipient/check': { accountId: Id; addresses: string[]; }
  'Recipient/history': { accountId: Id; addresses?: string[] | null; text?: string | null; sort?: string | null; position?: number | null; limit?: number | null; }
  'Recipient/suggest': { accountId: Id; text: string; limit?: number | null; }
  'SearchSnippet/get': { accountId: Id; filter?: unknown | null; emailIds: Id[]; }
  'Settings/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Settings/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Settings/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
  'Thread/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'Thread/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'Trace/get': { accountId: Id; ids: Id[]; }
  'VacationResponse/changes': { accountId: Id; sinceState: string; maxChanges?: number | null; }
  'VacationResponse/get': { accountId: Id; ids?: Id[] | null; properties?: string[] | null; }
  'VacationResponse/set': { accountId: Id; ifInState?: string | null; create?: Record<Id, unknown> | null; update?: Record<Id, unknown> | null; destroy?: Id[] | null; }
}

// States are told of these, RFC 8620 §7.1.
export type TypeName = 'ContactCard' | 'Email' | 'EmailDelivery' | 'EmailSubmission' | 'Identity' | 'Job' | 'Mailbox' | 'MutedThread' | 'Settings' | 'Thread' | 'VacationResponse'

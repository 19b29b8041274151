// jmap-jam against a Posthouse server: read, search, send, move, push.
// usage: node client.mjs SESSION_URL TOKEN FROM TO
import JamClient from 'jmap-jam'
import assert from 'node:assert/strict'

const [sessionUrl, bearerToken, from, to] = process.argv.slice(2)

// Node has no EventSource yet, and a browser's would send a cookie.
globalThis.EventSource = class {
  constructor(url) {
    this.listeners = {}
    this.abort = new AbortController()
    this.opened = fetch(url, { headers: { Authorization: `Bearer ${bearerToken}` }, signal: this.abort.signal }).then(async (r) => {
      assert.equal(r.headers.get('content-type'), 'text/event-stream')
      this.read(r.body)
    })
  }
  async read(body) {
    let text = ''
    try {
      for await (const chunk of body) {
        text += new TextDecoder().decode(chunk)
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const fields = Object.fromEntries(text.slice(0, end).split('\n').filter((l) => l[0] !== ':').map((l) => l.split(/: (.*)/s)))
          if (fields.event) this.listeners[fields.event]?.(fields)
        }
      }
    } catch (e) {
      if (!this.abort.signal.aborted) throw e
    }
  }
  addEventListener(name, f) { this.listeners[name] = f }
  close() { this.abort.abort() }
}

const jam = new JamClient({ sessionUrl, bearerToken })
const accountId = await jam.getPrimaryAccount()
assert.ok(accountId)

// Read: a list in one request, by references.
const [mailboxes] = await jam.api.Mailbox.get({ accountId })
const box = Object.fromEntries(mailboxes.list.map((m) => [m.role, m.id]))
assert.ok(box.inbox && box.drafts && box.sent && box.archive)
const [{ list }] = await jam.requestMany((t) => {
  const ids = t.Email.query({ accountId, filter: { inMailbox: box.inbox }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: true, limit: 10 })
  const list = t.Email.get({ accountId, ids: ids.$ref('/ids'), properties: ['id', 'subject', 'from', 'preview', 'threadId', 'keywords', 'mailboxIds'] })
  return { ids, list }
})
assert.ok(list.list.length > 3 && list.list.every((e) => e.subject !== undefined && e.threadId))

// Push: a stream that is open before anything happens.
const source = await jam.connectEventSource({ types: '*', ping: 30 })
const pushed = new Promise((done) => source.addEventListener('state', (e) => done(JSON.parse(e.data))))
await source.opened

// Send, with an attachment that was uploaded.
const blob = await jam.uploadBlob(accountId, new Blob(['a,b\n1,2\n'], { type: 'text/csv' }))
const word = 'marmalade' + Date.now()
const [identities] = await jam.api.Identity.get({ accountId })
const [sent] = await jam.requestMany((t) => ({
  create: t.Email.set({ accountId, create: { draft: {
    mailboxIds: { [box.drafts]: true }, keywords: { $draft: true, $seen: true }, from: [{ email: from }], to: [{ email: to }], subject: `About ${word}`,
    bodyValues: { text: { value: 'Have some.\n' }, html: { value: '<p>Have <b>some</b>.</p>' } }, textBody: [{ partId: 'text', type: 'text/plain' }], htmlBody: [{ partId: 'html', type: 'text/html' }],
    attachments: [{ blobId: blob.blobId, type: 'text/csv', name: 'rows.csv', disposition: 'attachment' }],
  } } }),
  submit: t.EmailSubmission.set({ accountId, create: { s: { identityId: identities.list[0].id, emailId: '#draft' } },
    onSuccessUpdateEmail: { '#s': { [`mailboxIds/${box.drafts}`]: null, [`mailboxIds/${box.sent}`]: true, 'keywords/$draft': null } } }),
}))
assert.ok(sent.create.created?.draft, JSON.stringify(sent))
const id = sent.create.created.draft.id
const change = await pushed
assert.equal(change['@type'], 'StateChange')
assert.ok(change.changed[accountId].Email)
source.close()

// Search finds it, and says where.
const [found] = await jam.requestMany((t) => {
  const q = t.Email.query({ accountId, filter: { subject: word } })
  return { q, s: t.SearchSnippet.get({ accountId, filter: { subject: word }, emailIds: q.$ref('/ids') }),
    e: t.Email.get({ accountId, ids: q.$ref('/ids'), fetchTextBodyValues: true }) }
})
assert.deepEqual(found.q.ids, [id])
assert.equal(found.s.list[0].subject, `About <mark>${word}</mark>`)
const email = found.e.list[0]
assert.deepEqual(Object.keys(email.mailboxIds), [box.sent])
assert.equal(email.bodyValues[email.textBody[0].partId].value, 'Have some.\n')
assert.equal(email.attachments[0].name, 'rows.csv')
const file = await jam.downloadBlob({ accountId, blobId: email.attachments[0].blobId, mimeType: 'text/csv', fileName: 'rows.csv' })
assert.equal(await file.text(), 'a,b\n1,2\n')

// Move, and hear of it by queryChanges.
const query = { accountId, filter: { inMailbox: box.inbox }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: true }
const [before] = await jam.api.Email.query(query)
const [moved] = await jam.api.Email.set({ accountId, update: { [before.ids[0]]: { mailboxIds: { [box.archive]: true } } } })
assert.ok(before.ids[0] in moved.updated)
const [after] = await jam.api.Email.queryChanges({ ...query, sinceQueryState: before.queryState })
assert.ok(after.removed.includes(before.ids[0]))

// What is wrong is refused in the words of the RFC.
await assert.rejects(jam.request(['Email/nothing', { accountId }]), (e) => e.type === 'unknownMethod')
await assert.rejects(jam.request(['Email/get', { accountId: 'A999', ids: [] }]), (e) => e.type === 'accountNotFound')
console.log('ok')
